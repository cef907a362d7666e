/** Where a caller of Rivulet stands: for reports that must point into the caller's code, not ours. */
import { fileURLToPath } from 'node:url'

const folder = new URL('..', import.meta.url)
// Of a build, source maps name the sources.
const folders = folder.pathname.endsWith('/dist/') ? [folder, new URL('../src/', folder)] : [folder]
const ownFolders = folders.flatMap((url) => [url.href, fileURLToPath(url)])

/** The first frame of a stack trace that is neither ours nor Node's. */
export function callSite(stack: string | undefined): string {
  const lines = (stack ?? '').split('\n').slice(1)
  const frames = lines.map((line) => line.trim().replace(/^at /, ''))
  return frames.find((frame) => !isOurs(frame)) ?? frames[0] ?? 'unknown'
}

function isOurs(frame: string): boolean {
  return frame.includes('node:') || ownFolders.some((folder) => frame.includes(folder))
}
