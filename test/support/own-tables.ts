/** Tables of a test file's own, on a pool of 1: an engine on them, and tasks whose writes are undone. */
import { afterAll, beforeAll } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import type { Session } from '../../src/repository/session.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from './database.ts'

export interface OwnTables<TSchema extends Record<string, unknown>> {
  /** The engine, while tests run. */
  readonly engine: Engine<TSchema>
  /** Runs a task whose writes are undone. */
  undone(task: (session: Session<TSchema>) => Promise<void>): Promise<void>
}

/** Makes the tables of `ddl` before the tests of a file, and removes them afterwards; `name` is for people. */
export function ownTables<TSchema extends Record<string, unknown>>(
  name: string,
  ddl: string,
  schema: TSchema,
): OwnTables<TSchema> {
  let database: TestDatabase
  let engine: Engine<TSchema>
  beforeAll(async () => {
    database = await openTestDatabase(scriptTemplate(name, ddl))
    engine = await openEngine({ schema, url: database.url, pool: { max: 1 } })
  })
  afterAll(async () => {
    await engine.close()
    await database[Symbol.asyncDispose]()
  })
  return {
    get engine() {
      return engine
    },
    async undone(task) {
      const done = new Error('undone')
      await engine
        .transaction(async (session) => {
          await task(session)
          throw done
        })
        .catch((error: unknown) => {
          if (error !== done) throw error
        })
    },
  }
}
