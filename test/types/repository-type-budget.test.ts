/**
 * What a schema of 60 tables costs the type checker, beyond Drizzle's own types: a number of instantiations that does
 * not depend on the machine. And what an editor shows when it hovers over the types people meet: TypeScript's own
 * language server is asked, over LSP.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hover } from '../support/hover.ts'
import { packageRoot as root, TypeFolder } from '../support/type-folder.ts'

const tables = 60

/** Instantiations that all the uses of repositories below may cost together: half of what Drizzle itself costs here. */
const budget = 550_000

const folder = new TypeFolder()

beforeAll(() => {
  folder.write('schema.ts', schema())
  folder.write('plain.ts', plain())
  folder.write('uses.ts', uses())
})

afterAll(() => folder.remove())

function schema(): string {
  const blocks = Array.from({ length: tables }, (_, n) => {
    const parent = `table${Math.max(0, n - 1)}`
    return `
export const table${n} = pgTable('table_${n}', {
  id: bigint('id', { mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  parentId: bigint('parent_id', { mode: 'bigint' }),
  name: text('name').notNull(), code: varchar('code', { length: 10 }).notNull().unique(), size: integer('size'),
  price: numeric('price').notNull(), tags: text('tags').array().notNull().default([]), data: jsonb('data'),
  active: boolean('active').notNull().default(true), at: timestamp('at').notNull().defaultNow(), ref: uuid('ref'),
  version: integer('version').notNull().default(1),
})
export const table${n}Relations = relations(table${n}, ({ one, many }) => ({
  parent: one(${parent}, { fields: [table${n}.parentId], references: [${parent}.id], relationName: 'p${n}' }),
  children: many(table${Math.min(tables - 1, n + 1)}, { relationName: 'p${n + 1}' }),
}))`
  })
  return `import { relations } from 'drizzle-orm'
import { bigint, boolean, integer, jsonb, numeric, pgTable, text, timestamp, uuid, varchar } from 'drizzle-orm/pg-core'
${blocks.join('\n')}`
}

const opening = `import { openEngine } from '${root}src/engine.ts'
import { defineRepository } from '${root}src/repository/define-repository.ts'
import * as schema from './schema.ts'
const engine = await openEngine({ schema })
`

/** The same imports and session without any use of a repository. */
function plain(): string {
  return `${opening}
void defineRepository
await engine.session(async ({ db }) => { await db.select().from(schema.table0) })`
}

function uses(): string {
  const blocks = Array.from({ length: tables }, (_, n) => {
    return `
  const repo${n} = repository(schema.table${n})
  const row${n} = await repo${n}.insert({ name: 'x', code: 'c', price: '1' })
  await repo${n}.update(row${n}.id, { size: 1 })
  await repo${n}.list({ where: { name: { like: 'a%' }, or: [{ size: 1 }, { active: true }] }, orderBy: { at: 'desc' } })
  const loaded${n} = await repo${n}.get(1n, { select: ['id', 'name'], with: { parent: { with: { children: true } } } })
  const name${n}: string = loaded${n}.name
  const of${n} = defineRepository(schema.table${n}, (base) => ({ named: (name: string) => base.find({ name }) }))
  void [name${n}, (await of${n}(session).named('x'))?.code]`
  })
  return `${opening}
await engine.session(async (session) => {
  const { repository } = session
  ${blocks.join('\n')}
})`
}

function instantiations(file: string): number {
  const output = folder.check(file, '--extendedDiagnostics')
  expect(output).not.toContain('error TS')
  return Number(/Instantiations:\s+(\d+)/.exec(output)?.[1])
}

test(`repositories of ${tables} tables type-check within ${budget} instantiations`, { timeout: 120_000 }, () => {
  const cost = instantiations('uses.ts') - instantiations('plain.ts')
  console.log(`repositories of ${tables} tables: ${cost} instantiations`)
  expect(cost).toBeGreaterThan(0)
  expect(cost).toBeLessThan(budget)
})

/** What people meet, on the toy schema; hovered over is what stands behind each mark. */
const hovered = `
const /*row*/row = await session.repository(toy.words)./*get*/get('a')
const /*part*/part = await repo./*get part*/get({ room: 'A', position: 1 }, { select: ['room', 'label'] })
const /*page*/page = await session.repository(toy.exhibits)./*list with*/list({ with: { parts: true } })
const /*deep*/deep = await session.repository(toy.notes).find('a', {
  with: { exhibit: { select: ['title'], with: { parts: { where: { rank: 1 } }, shelf: true } } },
})
const /*repo*/repo = session.repository(toy.shelves)
const /*lines*/lines = session.repository(toy.lines)
const /*several*/several = await repo./*getMany*/getMany([])
void repo./*insert*/insert({ room: 'A', position: 1 })
void repo./*insertMany*/insertMany([])
void repo./*update*/update({ room: 'A', position: 1 }, { label: 'x' })
void repo./*updateMany*/updateMany([])
void repo./*updateWhere*/updateWhere({ room: 'A' }, { label: 'x' })
void repo./*upsert*/upsert({ room: 'A', position: 1 })
void repo./*remove*/remove({ room: 'A', position: 1 })
void repo./*find*/find({ room: 'A' })
void repo./*exists*/exists({ room: 'A' })
void repo./*count*/count()
void repo./*list*/list()
void repo./*stream*/stream()
void repo./*lock*/lock({ room: 'A', position: 1 }, 'share')
void session.repository(toy.notes)./*restore*/restore('id')
const /*gathered*/gathered = await engine.gather({
  word: ({ repository }) => repository(toy.words).get('a'),
  shelves: ({ repository }) => repository(toy.shelves).list(),
  notes: ({ repository }) => repository(toy.notes).list({ with: { exhibit: true } }),
})
const /*tuple*/tuple = await engine.gather([
  ({ repository }) => repository(toy.words).get('a'),
  ({ repository }) => repository(toy.samples).find(1),
])
const samples = session.repository(toy.samples)
const /*wide row*/wide = await samples./*wide get*/get(1)
const /*wide page*/widePage = await samples./*wide list*/list({ count: true, where: { aText: 'a' } })
const /*wide rows*/wideRows = await samples./*wide getMany*/getMany([1])
const /*wide upsert*/wideUpsert = samples.upsert
const /*wide lock*/wideLock = samples.lock
const /*flagged*/flagged = await session.repository(toy.exhibits)./*get flagged*/get(1n, { with: { parts: wide.id > 1 } })
const /*wide gathered*/wideGathered = await engine.gather({
  sample: ({ repository }) => repository(toy.samples).get(1),
  samples: ({ repository }) => repository(toy.samples).list(),
})
const /*samplesOf*/samplesOf = defineRepository(toy.samples, (/*wide base*/base) => ({
  texts: () => base.list({ where: { aText: 'a' } }),
}))
const /*wide alone*/wideAlone = await samplesOf(session).get(1)
const /*keyless*/keyless = session.repository(toy.heavy)
const /*wordsOf*/wordsOf = defineRepository(
  toy.words,
  (/*base*/base, /*session*/session) => ({ known: (word: string) => base.exists(word) }),
  { schema: toy },
)
const /*notesOf*/notesOf = defineRepository(toy.notes, (/*base alone*/base) => ({
  bySlug: (slug: string) => base.find({ slug }),
}))
const /*domain alone*/domain = notesOf(session)
void domain./*bySlug*/bySlug('a')
const /*note alone*/note = await domain.load('a')
const /*list alone*/page2 = await domain.list({ select: ['slug', 'body'] })
declare const /*key*/key: Key<typeof toy.shelves>
declare const /*row alone*/exhibit: Row<typeof toy.exhibits>
declare const /*new row alone*/newExhibit: NewRow<typeof toy.exhibits>
declare const /*patch alone*/patch: Patch<typeof toy.exhibits>
declare const /*order alone*/order: Order<typeof toy.exhibits>
declare const /*where alone*/where: Where<typeof toy.exhibits>
declare const /*where of a wide table*/wideWhere: Where<typeof toy.samples>
type /*alias of where*/ExhibitWhere = Where<typeof toy.exhibits>
declare const /*where by its alias*/byAlias: ExhibitWhere
`

/** Exported types, hovered over by their names. */
const exported = ['Direction', 'Key', 'NewRow', 'Order', 'Patch', 'Row', 'Where']

/** As much as six lines of 120 hold: of lines that are never broken none would be too long. */
const charactersAtMost = 720

test('hovering over what people meet shows six lines at most', { timeout: 60_000 }, async () => {
  const text = `import type { Engine } from '${root}src/engine.ts'
import type { Session } from '${root}src/repository/session.ts'
import { defineRepository } from '${root}src/repository/define-repository.ts'
import type { ${exported.map((name) => `/*${name}*/${name}`).join(', ')} } from '${root}src/repository/types/table-types.ts'
import * as toy from '${root}test/support/toy-schema.ts'
declare const engine: Engine<typeof toy>
declare const session: Session<typeof toy>
${hovered}`
  const file = folder.write('hover.ts', text)
  for (const [name, lines] of Object.entries(await hover(file, text))) {
    const seen = `${name}:\n${lines.join('\n')}`
    expect(lines.length, seen).toBeGreaterThan(0)
    expect(lines.length, seen).toBeLessThanOrEqual(6)
    expect(seen.length, seen).toBeLessThanOrEqual(charactersAtMost)
    expect(lines.join(' '), name).not.toMatch(/\bany\b/)
  }
})
