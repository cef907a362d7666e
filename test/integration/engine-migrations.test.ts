/** The boot check: what `openEngine({ migrations })` does before it serves. */
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openEngine } from '../../src/index.ts'
import { MigrationRefused } from '../../src/migrate/index.ts'
import * as schema from '../../schema/index.ts'
import { openTestDatabase } from '../support/database.ts'

const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url))

async function emptied() {
  const database = await openTestDatabase()
  const engine = await openEngine({ schema, url: database.url })
  await engine.session(({ sql }) => sql`drop schema if exists drizzle cascade`)
  await engine.session(({ sql }) => sql`drop schema public cascade`)
  await engine.session(({ sql }) => sql`create schema public`)
  await engine.close()
  return database
}

test('verify refuses to serve on pending migrations, and apply applies them, once for all who start', async () => {
  await using database = await emptied()
  const config = { schema, url: database.url, migrationsFolder } as const
  const refused = await openEngine({ ...config, migrations: 'verify' }).catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(MigrationRefused)
  expect((refused as MigrationRefused).reason).toBe('pending')

  const applied: string[] = []
  const engines = await Promise.all(
    Array.from({ length: 3 }, () =>
      openEngine({
        ...config,
        migrations: 'apply',
        observe: (event) => event.type === 'migration.applied' && applied.push(event.name),
      }),
    ),
  )
  expect(applied).toEqual([...new Set(applied)])
  expect(applied.length).toBeGreaterThan(0)
  for (const engine of engines) await engine.close()
  await using verified = await openEngine({ ...config, migrations: 'verify' })
  expect(await verified.session(({ db }) => db.select().from(schema.customers))).toEqual([])
})

test('an unknown mode is refused before anything is opened', async () => {
  await expect(
    openEngine({ schema, url: 'postgres://nobody@127.0.0.1:1/none', migrations: 'maybe' as 'apply' }),
  ).rejects.toThrow("config.migrations must be 'verify' or 'apply' or 'ignore'")
})
