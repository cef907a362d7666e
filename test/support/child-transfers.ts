/**
 * A service in miniature for the fault suite: writes entries as fast as it can, says on standard output which were
 * acknowledged, and on SIGTERM closes its engine and ends by itself.
 */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { openEngine } from '../../src/engine.ts'

const entries = pgTable('entries', {
  id: integer('id').primaryKey().generatedAlwaysAsIdentity(),
  nonce: text('nonce').notNull(),
  half: integer('half').notNull(),
})

const url = process.argv[2]
if (url === undefined) throw new Error('the URL of a database is missing')
const engine = await openEngine({ schema: { entries }, url, pool: { max: 4 } })
let closing = false
process.once('SIGTERM', () => {
  closing = true
  void engine.close({ timeoutMs: 3000 })
})

async function work(name: number): Promise<void> {
  // oxlint-disable-next-line no-unmodified-loop-condition -- the signal handler modifies it
  for (let count = 0; !closing; count++) {
    const nonce = `child-${name}-${count}`
    try {
      await engine.transaction(async ({ db, sql }) => {
        await db.insert(entries).values({ nonce, half: 1 })
        await sql`select pg_sleep(0.005)`
        await db.insert(entries).values({ nonce, half: 2 })
      })
      process.stdout.write(`${nonce}\n`)
    } catch (error) {
      process.stderr.write(`${nonce}: ${String(error)}\n`)
    }
  }
}

await Promise.all(Array.from({ length: 8 }, (_, name) => work(name)))
