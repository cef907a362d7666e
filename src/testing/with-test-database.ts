/**
 * `withTestDatabase`: Vitest's `test` with a database for each test file.
 *
 * For each file, not for each worker: a worker runs one file after the other, and what the first leaves behind would be
 * there for the second, in an order that changes from run to run. A clone costs less than the worker's own start.
 * Vitest is not imported: its `test` is given, so that it is the one that runs the file.
 */
import type { TestAPI } from 'vitest'
import type { Schema } from '../drizzle/driver.ts'
import { type Engine, openEngine } from '../engine.ts'
import { UsageError } from '../errors.ts'
import type { TestDatabase } from './clone.ts'
import { checkTestDatabase, openTestDatabase, type TestDatabaseOptions } from './test-database.ts'
import { openSandbox } from './sandbox.ts'

/** What `withTestDatabase` takes. */
export interface WithTestDatabaseOptions<TSchema extends Schema> extends TestDatabaseOptions<TSchema> {
  readonly schema: TSchema
}

/** What tests get besides what they had; each is made when a test first asks for it. */
export interface DatabaseFixtures<TSchema extends Schema> {
  /** The file's database, cloned from the template when the first test asks for it and dropped after the last. */
  readonly database: TestDatabase
  /** An engine on the file's database. What one test writes is there for the next one in the file. */
  readonly engine: Engine<TSchema>
  /** An engine for one test, whose work is rolled back after it: see `openSandbox` for what cannot hold there. */
  readonly sandbox: Engine<TSchema>
}

type Use<T> = (value: T) => Promise<void>

/**
 * Vitest's `test`, with the fixtures `database`, `engine` and `sandbox`:
 * `export const test = withTestDatabase(base, { schema, migrations: new URL('./migrations', import.meta.url) })`.
 * What still runs on an engine when its test or file is over is cancelled: a test that hangs costs its time limit and no more.
 * @throws UsageError for arguments that cannot be meant; the fixtures throw as `openTestDatabase` does.
 */
export function withTestDatabase<TContext, TSchema extends Schema>(
  base: TestAPI<TContext>,
  options: WithTestDatabaseOptions<TSchema>,
): TestAPI<TContext & DatabaseFixtures<TSchema>> {
  if (typeof base?.extend !== 'function') {
    throw new UsageError(
      "withTestDatabase takes the test function of 'vitest', and then the options: withTestDatabase(test, { migrations, … })",
    )
  }
  checkTestDatabase('withTestDatabase', options)
  const { schema } = options
  if (typeof schema !== 'object' || schema === null) {
    throw new UsageError("withTestDatabase needs the schema, for its engines: import * as schema from './schema'")
  }
  const fixtures = {
    database: [
      // Vitest reads off the parameter's pattern what a fixture needs.
      // oxlint-disable-next-line no-empty-pattern
      async ({}, use: Use<TestDatabase>) => {
        await using database = await openTestDatabase(options)
        await use(database)
      },
      { scope: 'file' },
    ],
    engine: [
      async ({ database }: { database: TestDatabase }, use: Use<Engine<TSchema>>) => {
        const engine = await openEngine({ ...options.engine, schema, url: database.url })
        try {
          await use(engine)
        } finally {
          await engine.close({ timeoutMs: 0 })
        }
      },
      { scope: 'file' },
    ],
    sandbox: async ({ database }: { database: TestDatabase }, use: Use<Engine<TSchema>>) => {
      await using sandbox = await openSandbox({ ...options.engine, schema, url: database.url })
      await use(sandbox.engine)
    },
  }
  return base.extend(fixtures as never) as never
}
