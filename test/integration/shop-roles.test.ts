/** The shop's roles belong to the server, which databases share: whoever migrates first makes them, and nobody trips over them. */
import { expect, test } from 'vitest'
import * as schema from '../../schema/index.ts'
import { openEngine } from '../../src/engine.ts'
import { applyMigrations } from '../../src/migrate/commands/apply.ts'
import { verifyDatabase } from '../../src/migrate/commands/verify.ts'
import { withConnection } from '../../src/migrate/connect.ts'
import { openPrivateServer, type PrivateServer } from '../support/private-server.ts'

const folder = new URL('../../migrations', import.meta.url).pathname

const on = (server: PrivateServer, script: string) =>
  withConnection(server.url, (connection) => connection.script(script))

test('are made once by databases that migrate at the same time', async () => {
  await using server = await openPrivateServer()
  const names = [1, 2, 3, 4].map((n) => `race_${n}`)
  for (const name of names) await on(server, `create database ${name}`)
  const results = await Promise.all(names.map((name) => applyMigrations(server.urlOf(name), { folder })))
  expect(results.map(({ applied }) => applied.length)).toEqual(names.map(() => 3))
  const { differences } = await verifyDatabase(server.urlOf('race_1'), { folder })
  expect(differences).toEqual([])
})

test('serve an owner who is no superuser, and who passes over the policies', async () => {
  await using server = await openPrivateServer()
  await on(server, `create role shop_owner login createrole password 'x'`)
  await on(server, 'create database owned owner shop_owner')
  const url = server.urlOf('owned').replace(/\/\/[^@]*@/, '//shop_owner:x@')
  await applyMigrations(url, { folder })
  await using engine = await openEngine({ schema, url, pool: { max: 2 } })
  await engine.session(({ sql }) => sql`insert into customers (name) values ('Ann'), ('Bob')`)
  await engine.session(({ sql }) => sql`insert into orders (customer_id) values (1), (2), (2)`)
  const count = async (who: typeof engine) => {
    const rows = await who.session(({ db }) => db.select().from(schema.orders))
    return rows.length
  }
  expect(await count(engine)).toBe(3)
  expect(await count(engine.as({ role: 'staff' }))).toBe(3)
  expect(await count(engine.as({ role: 'customer', settings: { 'request.customer_id': '1' } }))).toBe(1)
  expect(await count(engine.as({ role: 'customer' }))).toBe(0)
  await expect(count(engine.as({ role: 'anonymous' }))).rejects.toMatchObject({ code: 'insufficient_privilege' })
})
