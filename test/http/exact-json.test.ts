/** The numbers in documents have the digits of the database in every answer, so that a validator tells neighbours apart. */
import { relations, sql } from 'drizzle-orm'
import { integer, json, jsonb, pgTable, pgView } from 'drizzle-orm/pg-core'
import { beforeAll, expect, test } from 'vitest'
import { createApp } from '../../src/http/app.ts'
import { resource } from '../../src/resource/resource.ts'
import { type Send, sender } from '../support/http-client.ts'
import { ownTables } from '../support/own-tables.ts'

const bills = pgTable('bills', {
  id: integer('id').primaryKey(),
  parentId: integer('parent_id'),
  n: integer('n').notNull().default(0),
  doc: jsonb('doc'),
  raw: json('raw'),
  docs: jsonb('docs').array(),
  matrix: json('matrix').array().array(),
})
const billsRelations = relations(bills, ({ one, many }) => ({
  parent: one(bills, { fields: [bills.parentId], references: [bills.id], relationName: 'parts' }),
  parts: many(bills, { relationName: 'parts' }),
}))
const sums = pgView('sums').as((query) => {
  return query
    .select({ id: bills.id, whole: sql`jsonb_build_object('d', doc)`.as('whole'), all: sql`docs`.as('all') })
    .from(bills)
})

const [first, second] = ['9007199254740993', '9007199254740992']
const ddl = `
create table bills (id int primary key, parent_id int references bills, n int not null default 0, doc jsonb, raw json, docs jsonb[], matrix json[][]);
create view sums as select id, jsonb_build_object('d', doc) as whole, docs as "all" from bills;
insert into bills values (1, null, 0, '{"amount": ${first}, "b": [12.50, "12.50"]}', '{"x":
 1e400, "id": "1e400"}', array['${first}', null, '"${first}"']::jsonb[], array[array['0.10']]::json[]), (2, 1, 0, '${first}', null, null, null);
`
const row = `{"id":1,"parentId":null,"n":0,"doc":{"b":[12.50,"12.50"],"amount":${first}},"raw":{"x":1e400,"id":"1e400"},"docs":[${first},null,"${first}"],"matrix":[[0.10]]}`
const part = `{"id":2,"parentId":1,"n":0,"doc":${first},"raw":null,"docs":null,"matrix":null}`

const tables = ownTables('exact-json', ddl, { bills, billsRelations, sums })
let send: Send
beforeAll(() => {
  send = sender(createApp(tables.engine, { resources: [resource(bills), resource(sums)] }))
})

test('a row, a list, lines, CSV and a gather have the digits', async () => {
  expect((await send('GET', '/bills/1')).text).toBe(row)
  expect((await send('GET', '/bills')).text).toBe(`{"data":[${row},${part}],"next":null,"previous":null}`)
  const lines = await send('GET', '/bills?sort=id', undefined, { accept: 'application/x-ndjson' })
  expect(lines.text).toBe(`${row}\n${part}\n`)
  const { text } = await send('GET', '/bills?select=doc&sort=-id', undefined, { accept: 'text/csv' })
  expect(text).toBe(`doc\r\n${first}\r\n"{""b"":[12.50,""12.50""],""amount"":${first}}"\r\n`)
  expect((await send('POST', '/gather', { queries: { bill: '/bills/2' } })).text).toContain(`"body":${part}`)
})

test('so do related rows, and what a view works out', async () => {
  expect((await send('GET', '/bills/1?with=parts')).text).toBe(`${row.slice(0, -1)},"parts":[${part}]}`)
  expect((await send('GET', '/bills/2?with=parent')).text).toBe(`${part.slice(0, -1)},"parent":${row}}`)
  const { text } = await send('GET', '/sums?id=1')
  expect(text).toContain(`"whole":{"d":{"b":[12.50,"12.50"],"amount":${first}}}`)
  expect(text).toContain(`"all":[${first},null,"${first}"]`)
  const lines = await send('GET', '/sums?id=1', undefined, { accept: 'application/x-ndjson' })
  expect(text).toContain(lines.text.trim())
})

async function store(doc: string): Promise<void> {
  await tables.engine.session(({ sql: run }) => run`update bills set doc = ${doc}::text::jsonb where id = 2`)
}

test('a validator tells neighbours apart, and what GET gave is not rounded by PUT', async () => {
  const seen = await send('GET', '/bills/2')
  const etag = seen.headers.get('etag')!
  await store(second)
  expect((await send('PATCH', '/bills/2', { n: 1 }, { 'if-match': etag })).status).toBe(412)
  expect((await send('GET', '/bills/2', undefined, { 'if-none-match': etag })).text).toContain(second)
  await store(first)
  const changed = await send('PATCH', '/bills/2', { n: 0 }, { 'if-match': etag })
  expect([changed.status, changed.text]).toEqual([200, part])
  expect((await send('PUT', '/bills/2', seen.text)).json.errors).toMatchObject([{ pointer: '#/doc' }])
  expect((await send('GET', '/bills/2')).text).toBe(part)
})
