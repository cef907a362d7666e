/** The pages of errors, settings, commands and rules say what the code says. */
import { expect, test } from 'vitest'
import { parseScript } from '../../src/migrate/files/script.ts'
import { healthRules } from '../../src/migrate/doctor/examine.ts'
import { lintRules } from '../../src/migrate/lint/lint.ts'
import { sections } from '../docs/sections.ts'
import { generatedPages } from '../docs/pages.ts'
import { sourceText } from '../docs/doc-comments.ts'

test.each(generatedPages)('$path is what `npm run docs:pages` makes of the code', ({ text, wanted }) => {
  expect(text).toBe(wanted)
})

test('every section stands in a page, and none is empty', () => {
  const all = generatedPages.map(({ text }) => text).join('\n')
  for (const [name, section] of Object.entries(sections)) {
    expect(all).toContain(`<!-- generated: ${name} -->`)
    expect(section().split('\n').length, name).toBeGreaterThan(3)
  }
})

test.each(lintRules)('the safe way of $name is SQL', async ({ instead }) => {
  const { statements } = await parseScript(instead)
  expect(statements.flatMap(({ syntaxError }) => syntaxError?.message ?? [])).toEqual([])
})

test.each(healthRules)('what mends $name is SQL, and leads to the manual', async ({ mend, manual }) => {
  const { statements } = await parseScript(mend)
  expect(statements.length).toBeGreaterThan(0)
  expect(statements.flatMap(({ syntaxError }) => syntaxError?.message ?? [])).toEqual([])
  expect(manual).toMatch(/^https:\/\/www\.postgresql\.org\/docs\/current\/[\w-]+\.html(?:#[A-Z-]+)?$/)
})

test('every observation and every gauge says what it means', () => {
  const types = Array.from(sourceText('src/observe/observation.ts').matchAll(/readonly type: '/g))
  expect(sections['observations']?.().match(/^- `[a-z_.]+`: /gm)).toHaveLength(types.length)
  expect(sections['stats']?.()).not.toMatch(/`$/m)
})
