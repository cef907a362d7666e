/**
 * A program with a log on its standard error, for the tests of what reads it. Each line of standard input is a number of
 * statements to run; "done" on standard output says that they were answered. The end of the input ends it.
 */
import { createInterface } from 'node:readline'
import { sql } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { openEngine } from '../../src/engine.ts'

const schema = { accounts: pgTable('accounts', { id: integer('id').primaryKey() }) }
const url = process.argv[2]
if (url === undefined) throw new Error('the URL of a database is missing')
const engine = await openEngine({ schema, url, pool: { max: 1 } })
const long = sql.raw(`/* ${'long '.repeat(300)}*/`)
for await (const line of createInterface({ input: process.stdin })) {
  for (let left = Number(line); left > 0; left--) {
    await engine.session(({ db }) => db.execute(sql`select ${'a secret'}::text ${long}`), { label: 'page' })
  }
  process.stdout.write('done\n')
}
await engine.close()
