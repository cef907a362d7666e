/** Columns that are called like what combines filters: they are served, and the words keep their meaning. */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { beforeAll, expect, test } from 'vitest'
import { createApp } from '../../src/http/app.ts'
import { resource } from '../../src/resource/resource.ts'
import { type Send, sender } from '../support/http-client.ts'
import { ownTables } from '../support/own-tables.ts'

const gates = pgTable('gates', {
  id: integer('id').primaryKey(),
  and: text('and'),
  or: integer('or'),
  not: text('not'),
})
const ddl = `create table gates (id int primary key, "and" text, "or" int, "not" text);`
const tables = ownTables('combining-names', ddl, { gates })
let send: Send
beforeAll(() => {
  send = sender(createApp(tables.engine, { resources: [resource(gates)] }))
})

test('such a table is read, written, sorted and filtered by its other columns', async () => {
  const rows = [1, 2, 3].map((id) => ({ id, and: `a${id}`, or: -id, not: null }))
  expect((await send('POST', '/gates', rows)).json).toEqual({ data: rows })
  expect((await send('PATCH', '/gates/1', { and: 'b', not: 'n' })).json).toEqual({ id: 1, and: 'b', or: -1, not: 'n' })
  expect((await send('PUT', '/gates/1', { and: 'a1', or: -1 })).json).toEqual(rows[0])
  expect((await send('GET', '/gates?sort=or&select=or,and&limit=1')).json.data).toEqual([{ or: -3, and: 'a3' }])
  const combined = await send('GET', '/gates?or=(id=1,and(id=2,not(id=3)))&not=(id=1)')
  expect(combined.json.data).toEqual([rows[1]])
})

test('no filter is by them', async () => {
  for (const query of ['and=a1', 'or=-1', 'not=x', 'and[eq]=a1', 'or[in]=-1', 'not[isNull]=true', 'or=(and[eq]=a1)']) {
    expect([query, (await send('GET', `/gates?${query}`)).status]).toEqual([query, 400])
  }
  const { json } = await send('GET', '/openapi.json')
  const names = json.paths['/gates'].get.parameters.map(({ name }: { name?: string }) => name)
  expect(new Set(names.filter(Boolean)).size).toBe(names.filter(Boolean).length)
  const found = tables.engine.session(({ repository }) => {
    return repository(gates).find({ and: 'a1' } as unknown as { id: 1 })
  })
  await expect(found).rejects.toThrow('combines filters, and is not its column')
})
