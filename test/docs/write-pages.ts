/** `npm run docs:pages`: writes the sections of the pages in docs/ that are made from the code. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedPages } from './pages.ts'

const root = new URL('../..', import.meta.url).pathname

for (const { path, text, wanted } of generatedPages) {
  if (text === wanted) continue
  writeFileSync(join(root, path), wanted)
  console.log(`${path} written`)
}
