/**
 * The pages for users: README.md and docs/. A fenced block of TypeScript, JSON or SQL names its file in a comment on its
 * first line; a block of `sh` holds command lines; a block of `text` right behind one holds what they print, with `…`
 * for what differs from run to run.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = new URL('../..', import.meta.url).pathname

export interface Page {
  /** From the root, as in `docs/pool.md`. */
  readonly path: string
  readonly text: string
  readonly blocks: readonly Block[]
  /** What its headings can be linked to by. */
  readonly anchors: readonly string[]
}

interface Block {
  readonly language: string
  readonly text: string
  /** What the first line names, as in `// example.ts`. */
  readonly file: string | undefined
}

/** Every page, the README first. */
export const pages: readonly Page[] = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].map((path) => {
  const text = readFileSync(join(root, path), 'utf8')
  return { path, text, blocks: blocksOf(text), anchors: anchorsOf(text) }
})

function blocksOf(text: string): Block[] {
  return Array.from(text.matchAll(/^```(\w*)\n([^]*?)^```$/gm), ([, language = '', text = '']) => ({
    language,
    text,
    file: /^(?:\/\/|--) ([\w.-]+\.(?:ts|json|sql))\n/.exec(text)?.[1],
  }))
}

/** As GitHub makes them. */
function anchorsOf(text: string): string[] {
  return Array.from(text.replaceAll(/^```[^]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm), ([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
