/** Where a caller of Rivulet stands: for reports that must point into the caller's code, not ours. */
import { fileURLToPath } from 'node:url'

const folder = new URL('..', import.meta.url)
// Of a build, source maps name the sources.
const folders = folder.pathname.endsWith('/dist/') ? [folder, new URL('../src/', folder)] : [folder]
// Drizzle runs a query for its caller.
const notTheCallers = [...folders.flatMap((url) => [url.href, fileURLToPath(url)]), 'node:', '/drizzle-orm/']

/** The first frame of a stack trace that is neither ours nor Node's nor Drizzle's; where there is none, the first. */
export function callSite(stack: string | undefined): string {
  return callerFrame(stack) ?? framesOf(stack)[0] ?? 'unknown'
}

/** The same; undefined where there is none. */
export function callerFrame(stack: string | undefined): string | undefined {
  return framesOf(stack).find((frame) => frame.includes(':') && !notTheCallers.some((part) => frame.includes(part)))
}

function framesOf(stack = ''): string[] {
  const lines = stack.split('\n').slice(1)
  return lines.map((line) => line.trim().replace(/^at /, ''))
}
