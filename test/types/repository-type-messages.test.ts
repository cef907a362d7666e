/** What the compiler says about wrong calls of repositories: enough to mend them, without knowing how the types are made. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packageRoot, TypeFolder } from '../support/type-folder.ts'

const opening = `import { sql } from 'drizzle-orm'
import { integer, pgTable, pgView, text, timestamp } from 'drizzle-orm/pg-core'
import type { Session } from '${packageRoot}src/repository/session.ts'
import { conventions } from '${packageRoot}src/repository/types/conventions.ts'
import { defineRepository } from '${packageRoot}src/repository/define-repository.ts'
import * as toy from '${packageRoot}test/support/toy-schema.ts'
declare const session: Session<typeof toy>
const { exhibits, heavy, lines, notes, rates, samples, shelves, titles, words } = toy
const { repository } = session
export const used = [sql, integer, pgTable, pgView, text, timestamp, conventions, defineRepository, notes, shelves]
export const alsoUsed = [exhibits, heavy, lines, rates, samples, titles, words, repository]
`

/** Wrong lines, and what must be said of each. */
const wrong: Readonly<Record<string, string>> = {
  'repository(exhibits).list({ with: { shelv: true } })': `'shelv' does not exist in type 'RelationsIn<toy, "exhibits">'. Did you mean to write 'shelf'?`,
  'repository(exhibits).list({ with: { shelf: true, shelv: true } })': `'shelv' does not exist in type 'RelationsIn<toy, "exhibits">'. Did you mean to write 'shelf'?`,
  'repository(words).list({ with: { owner: true } })': `Type 'true' is not assignable to type '"the schema has no relations of this table"'`,
  'repository(exhibits).list({ with: { parts: { where: { tilte: "x" } } } })': `'tilte' does not exist in type 'WhereIn<toy, "exhibits">'. Did you mean to write 'title'?`,
  'repository(exhibits).list({ with: { parts: { where: { or: [{ rank: 1, tilte: "x" }] } } } })': `'tilte' does not exist in type 'WhereIn<toy, "exhibits">'. Did you mean to write 'title'?`,
  'repository(exhibits).list({ with: { parent: { limit: 1 } } })': `'limit' does not exist in type 'OneOptions<toy, "exhibits">'`,
  'repository(exhibits).list({ with: { parts: { limti: 1 } } })': `'limti' does not exist in type 'ManyOptions<toy, "exhibits">'. Did you mean to write 'limit'?`,
  'repository(exhibits).list({ with: { parts: { select: ["tilte"] } } })': `Did you mean '"title"'?`,
  'repository(exhibits).list({ with: { parts: { with: { shelv: true } } } })': `'shelv' does not exist in type 'RelationsIn<toy, "exhibits">'. Did you mean to write 'shelf'?`,
  'defineRepository(exhibits, (base) => ({ all: () => base.list({ with: { shelf: true } }) }))': `Type 'true' is not assignable to type '"with needs a schema that has the table: defineRepository(table, …, { schema })"'`,
  'repository(words).update("a", { uses: 1 }, { ifVersion: 1 })': `Type 'number' is not assignable to type '"needs conventions(table, { version })"'`,
  'repository(words).list({ removed: "include" })': `Type '"include"' is not assignable to type '"needs conventions(table, { removedAt })"'`,
  'repository(words).count({}, { removed: "only" })': `Type '"only"' is not assignable to type '"needs conventions(table, { removedAt })"'`,
  'conventions(pgTable("t", { a: integer(), b: integer().notNull(), c: text() }), { version: "c" })': `Type '"c"' is not assignable to type '"b"'`,
  'conventions(pgTable("t", { a: integer(), b: text() }), { version: "b" })': `Type '"b"' is not assignable to type '"the table has no integer column that is not null"'`,
  'conventions(pgTable("t", { a: integer(), at: timestamp() }), { updatedAt: "a" })': `Type '"a"' is not assignable to type '"at"'`,
  'conventions(pgTable("t", { at: timestamp().notNull() }), { removedAt: "at" })': `Type '"at"' is not assignable to type '"the table has no timestamp column that may be null"'`,
  'conventions(pgView("v", { at: timestamp() }).existing(), { removedAt: "at" })': `Type '"at"' is not assignable to type '"a view is read-only: the only convention it can have is its key"'`,
  'conventions(pgTable("t", { a: integer().notNull() }), { key: ["a"], verison: "a" })': `'verison' does not exist in type 'Promised<`,
  'conventions(pgTable("t", { a: integer() }), { key: ["b"] })': `Type '"b"' is not assignable to type '"a"'`,
  'defineRepository(words, (base) => ({ set: () => base.update("a", {}, { ifVersion: 1 }) }))': `Type 'number' is not assignable to type '"needs conventions(table, { version })"'`,
  'repository(words).lock("a", "share", { skipLock: true })': `'skipLock' does not exist in type 'LockWait<false>'`,
  'repository(lines).insert({ line: "x" })': `Property 'insert' does not exist on type 'ReadOnlyRepository<"no writes without a key: conventions(table, { key })", toy, "lines">'`,
  'repository(titles).insert({ title: "x" })': `Property 'insert' does not exist on type 'KeyedRepository<"a view is read-only", toy, "titles">'`,
  'repository(heavy).get(1n)': `Property 'get' does not exist on type 'ReadOnlyRepository<"a view is read-only; with conventions(view, { key }) it has get", toy, "heavy">'`,
  'defineRepository(lines, (base) => ({ add: (line: string) => base.insert({ line }) }))': `Property 'insert' does not exist on type 'ReadOnlyRepository<"no writes without a key: conventions(table, { key })", Alone<`,
}

const folder = new TypeFolder()
let messages: readonly string[]

beforeAll(() => {
  const lines = Object.keys(wrong)
  folder.write('wrong.ts', opening + lines.map((line) => `void ${line}`).join('\n'))
  const output = folder.check('wrong.ts').replaceAll(`typeof import("${packageRoot}test/support/toy-schema")`, 'toy')
  const first = opening.split('\n').length
  messages = lines.map((_, index) => {
    const mark = `wrong.ts(${first + index},`
    const start = output.indexOf(mark)
    // Up to the next one: what is indented belongs to it.
    return start === -1 ? 'no message' : (output.slice(start).split(/\n(?! )/)[0] as string)
  })
})

afterAll(() => folder.remove())

test.each(Object.keys(wrong).map((line, index) => [line, index] as const))('%s', (line, index) => {
  expect(messages[index]).toContain(wrong[line])
})
