/**
 * The pages in docs/ with sections that are made from the code: `npm run docs:pages` writes them, and a test says when
 * one is no longer what the code says.
 */
import { pages } from '../support/markdown.ts'
import { sections } from './sections.ts'

/** Each page that has such a section, as it is and as it should be. */
export const generatedPages = pages
  .filter(({ text }) => text.includes('<!-- generated: '))
  .map(({ path, text }) => ({ path, text, wanted: filled(text) }))

/** The text with its sections made anew. */
function filled(text: string): string {
  return text.replaceAll(
    /^(<!-- generated: (\w+) -->)\n[^]*?^(<!-- end -->)$/gm,
    (_, begin: string, name: string, end: string) => {
      const section = sections[name]
      if (section === undefined) throw new Error(`there is no section ${name}`)
      return `${begin}\n\n${section()}\n\n${end}`
    },
  )
}
