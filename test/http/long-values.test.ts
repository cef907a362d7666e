/** Values that are too long, or too odd, to stand in an address. */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { beforeAll, expect, test } from 'vitest'
import { createApp } from '../../src/http/app.ts'
import { resource } from '../../src/resource/resource.ts'
import { type Send, sender } from '../support/http-client.ts'
import { ownTables } from '../support/own-tables.ts'

const notes = pgTable('notes', { id: text('id').primaryKey(), n: integer('n').notNull(), body: text('body').notNull() })

const ddl = `
create table notes (id text primary key, n int not null, body text not null);
insert into notes select 'n' || n, n, case when n < 3 then 'a' else repeat(chr(96 + n), case n when 3 then 4000 else 20000 end) end from generate_series(1, 5) n;
`
const tables = ownTables('long-values', ddl, { notes })
let send: Send
beforeAll(() => {
  send = sender(createApp(tables.engine, { resources: [resource(notes)] }))
})

/** The keys of every page until there is no more; the status of one that is refused. */
async function walk(path: string): Promise<unknown[]> {
  const seen: unknown[] = []
  for (let after = ''; ;) {
    const { status, json } = await send('GET', `${path}&limit=1${after}`)
    if (status !== 200) return [...seen, status, json.detail]
    seen.push(...json.data.map(({ id }: { id: string }) => id))
    if (json.next === null) return seen
    after = `&after=${json.next}`
  }
}

test('a page that would end at a value too long for a URL says so, and what to do', async () => {
  const told = expect.stringMatching(
    /^sort is by a value that is too long .*: sort by another column, or read .*ndjson$/,
  )
  expect(await walk('/notes?sort=body')).toEqual(['n1', 'n2', 'n3', 400, told])
  expect((await send('GET', '/notes?sort=-body&limit=1')).json.errors).toMatchObject([{ parameter: 'sort' }])
  expect(await walk('/notes?sort=n&select=id')).toEqual(['n1', 'n2', 'n3', 'n4', 'n5'])
  expect((await send('GET', '/notes?sort=body')).json.data).toHaveLength(5)
  const lines = await send('GET', '/notes?sort=-body&select=id', undefined, { accept: 'application/x-ndjson' })
  expect(lines.text.split('\n')).toHaveLength(6)
  const { json } = await send('POST', '/gather', { queries: { long: '/notes?sort=-body&limit=1' } })
  expect(json.long).toMatchObject({ status: 400, body: { detail: told } })
})

test('a parameter that is refused is named once', async () => {
  const { json } = await send('GET', '/notes?after=x')
  expect(json.detail).toBe(
    'after is not a cursor of notes in this order: use next or previous of a page in the same order',
  )
})

test('a key that clients take for another path has no location, and is found by a filter', async () => {
  for (const id of ['.', '..', '...', 'a/..']) {
    const { status, headers } = await send('POST', '/notes', { id, n: 9, body: '' })
    const known = /^\.{1,2}$/.test(id) ? null : `/notes/${encodeURIComponent(id)}`
    expect([status, headers.get('location')]).toEqual([201, known])
    const found = await send('GET', `/notes?id=${encodeURIComponent(id)}`)
    expect(found.json.data).toMatchObject([{ id }])
    const read = known === null ? undefined : await send('GET', known)
    expect(read?.json ?? found.json.data[0]).toMatchObject({ id })
  }
})

test('a read is held to If-Match, and what adds rows takes no conditions', async () => {
  const etag = (await send('GET', '/notes/n1')).headers.get('etag')!
  for (const path of ['/notes/n1', '/notes?sort=n&select=id&limit=1']) {
    const current = (await send('GET', path)).headers.get('etag')!
    for (const method of ['GET', 'HEAD']) {
      expect((await send(method, path, undefined, { 'if-match': '"other"' })).status).toBe(412)
      expect((await send(method, path, undefined, { 'if-match': `"other", ${current}` })).status).toBe(200)
      expect((await send(method, path, undefined, { 'if-match': '*', 'if-none-match': current })).status).toBe(304)
    }
  }
  for (const condition of [{ 'if-none-match': '*' }, { 'if-none-match': etag }, { 'if-match': etag }]) {
    const { status, json } = await send('POST', '/notes', { id: 'new', n: 1, body: '' }, condition)
    expect([status, json.code]).toEqual([400, 'invalid_header'])
  }
  expect((await send('GET', '/notes/new')).status).toBe(404)
})
