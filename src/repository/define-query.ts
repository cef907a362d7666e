/**
 * Drizzle queries of a program's own, built and rendered once an engine instead of once a call: building one costs
 * Drizzle more than sending it. Values that change are placeholders, as in Drizzle's own prepared queries.
 * https://orm.drizzle.team/docs/perf-queries
 */
import { UsageError } from '../errors.ts'
import type { CompiledQuery, Database, Drizzle, Schema } from '../drizzle/driver.ts'
import { type AnySession, taskSessionOf } from './session.ts'

/** A query that runs in any session, with a value for each of its placeholders. */
export type DefinedQuery<TResult> = (session: AnySession, values?: Record<string, unknown>) => Promise<TResult>

/**
 * Defines a query: `build` makes it from a Drizzle database, with `sql.placeholder('name')` where values go, and is
 * called once an engine. Returns a function of a session and the values.
 */
export function defineQuery<TSchema extends Schema, TResult>(
  build: (db: Database<TSchema>) => PromiseLike<TResult> & { prepare(name: string): unknown },
): DefinedQuery<TResult> {
  if (typeof build !== 'function') {
    throw new UsageError('defineQuery takes a function that returns a Drizzle query: (db) => db.select().from(…)')
  }
  const compiled = new WeakMap<Drizzle, CompiledQuery<TResult>>()
  return (session, values) => {
    const task = taskSessionOf(session)
    const { drizzle } = task
    let query = compiled.get(drizzle)
    if (query === undefined) {
      query = drizzle.compile<TResult>(build as never)
      compiled.set(drizzle, query)
    }
    return query.on(task, values)
  }
}
