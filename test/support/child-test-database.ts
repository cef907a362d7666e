/**
 * A process that opens a test database. argv: the server's URL, the folder of migrations, and what it does: `once` closes
 * it again, `hold` keeps it until the process is killed, `hang` never comes to the end of its seed. It prints
 * `seeding NAME` and `opened NAME ROWS`.
 */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { openEngine } from '../../src/engine.ts'
import { openTestDatabase } from '../../src/testing/test-database.ts'

const [url = '', migrations = '', what = 'once'] = process.argv.slice(2)
const notes = pgTable('notes', { id: integer().primaryKey(), text: text().notNull() })
const schema = { notes }
const forEver = new Promise(() => setInterval(() => undefined, 1000).unref())

await using database = await openTestDatabase({
  url,
  migrations,
  schema,
  seed: {
    files: [],
    run: async (engine) => {
      const [at] = await engine.session(({ sql }) => sql<{ name: string }>`select current_database() as name`)
      console.log(`seeding ${at?.name}`)
      if (what === 'hang') await forEver
      await engine.session(({ repository }) => repository(notes).insert({ id: 1, text: 'seeded' }))
    },
  },
})
await using engine = await openEngine({ schema, url: database.url })
const count = await engine.session(({ repository }) => repository(notes).count())
console.log(`opened ${database.name} ${count}`)
if (what === 'hold') await forEver
