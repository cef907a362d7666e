/**
 * A schema that is an object of tables and relations, `{ ...tables, ...relations }`: repositories promise the same types
 * as with a module, and editors and messages stay short, although no name stands for such a schema.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { hover } from '../support/hover.ts'
import { packageRoot as root, TypeFolder } from '../support/type-folder.ts'

const folder = new TypeFolder()
afterAll(() => folder.remove())

test('every promise that holds for a module holds for an object', { timeout: 120_000 }, () => {
  const text = readFileSync(join(root, 'test/types/repository.test-d.ts'), 'utf8')
    .replaceAll("'../../", `'${root}`)
    .replaceAll("'../support", `'${root}test/support`)
    .replaceAll(
      /^import \* as (toy|sides|sameNames) from (.*)$/gm,
      'import * as $1Module from $2\nconst $1 = { ...$1Module }',
    )
  expect(text.match(/^const \w+ = \{ \.\.\.\w+Module \}$/gm)).toHaveLength(3)
  folder.write('promises.ts', text)
  expect(folder.check('promises.ts')).toBe('')
})

const opening = `import type { Session } from '${root}src/repository/session.ts'
import * as toy from '${root}test/support/toy-schema.ts'
const schema = { ...toy }
declare const session: Session<typeof schema>
const { exhibits, notes, shelves, words } = toy
const { repository } = session
`

const hovered = `
export const /*row*/row = await repository(words).get('a')
export const /*page*/page = await repository(exhibits).list({ with: { parts: true } })
export const /*deep*/deep = await repository(notes).find('a', {
  with: { exhibit: { select: ['title'], with: { parts: { where: { rank: 1 } }, shelf: true } } },
})
export const /*repository*/repo = repository(shelves)
void repo./*get*/get({ room: 'A', position: 1 })
void repo./*insert*/insert({ room: 'A', position: 1 })
void repo./*update*/update({ room: 'A', position: 1 }, { label: 'x' })
void repo./*find*/find({ room: 'A' })
void repo./*list*/list()
void repository(notes)./*restore*/restore('id')
`

test('hovers name columns and tables, on no more than nine lines', { timeout: 60_000 }, async () => {
  const text = opening + hovered
  const shown = await hover(folder.write('hover.ts', text), text)
  for (const [name, lines] of Object.entries(shown)) {
    const seen = `${name}:\n${lines.join('\n')}`
    expect(lines.length, seen).toBeGreaterThan(0)
    expect(lines.length, seen).toBeLessThanOrEqual(6)
    expect(seen.length, seen).toBeLessThanOrEqual(9 * 120)
  }
  expect(shown['row']?.join('')).toContain('const row: Fields<["seen", number] | ["stamp", string | null]')
  expect(shown['page']?.join('')).toContain('["parts", Fields<["id", bigint]')
  expect(shown['repository']?.join('')).toMatch(/Repository<SpreadSchema<"exhibits" .*, "shelves">$/)
})

/** Wrong calls, and what must be said of each. */
const wrong = [
  ['repository(exhibits).list({ with: { shelv: true } })', `Did you mean to write 'shelf'?`],
  ['repository(exhibits).list({ where: { tilte: "x" } })', `Did you mean to write 'title'?`],
  ['repository(exhibits).list({ with: { parts: { where: { tilte: "x" } } } })', `Did you mean to write 'title'?`],
  ['repository(words).list({ with: { owner: true } })', `'"the schema has no relations of this table"'`],
] as const

test('wrong calls are refused in a few lines', { timeout: 60_000 }, () => {
  const used = 'export const used = [exhibits, notes, shelves, words]\n'
  folder.write('wrong.ts', opening + used + wrong.map(([line]) => `void ${line}`).join('\n'))
  const lines = folder.check('wrong.ts').trimEnd().split('\n')
  for (const [, said] of wrong) expect(lines.join('\n')).toContain(said)
  expect(lines.filter((line) => line.includes('error TS'))).toHaveLength(wrong.length)
  expect(lines.length).toBeLessThanOrEqual(wrong.length * 6)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(6 * 120)
})
