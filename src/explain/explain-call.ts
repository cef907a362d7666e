/** `session.explain`: the plan of a query, or of the first statement that a call sends. */
import { UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import type { Schema, Streamable } from '../drizzle/driver.ts'
import type { QueryPlan } from '../plan/query-plan.ts'
import type { TaskSession } from '../session/session.ts'
import { type AskRows, explainGeneric, explainStatement } from './explain-statement.ts'
import { firstStatement } from './explained-session.ts'

/** How to explain. */
export interface ExplainOptions {
  /**
   * Runs the statement, for times and true numbers of rows, in a transaction (a savepoint in one) that is rolled back.
   * What rolls back nothing stays: sequences go on, and a trigger's work outside the database is done. Default false.
   */
  readonly analyze?: boolean | undefined
  /** Counts the pages that each node used; with `analyze` only. Default false. */
  readonly buffers?: boolean | undefined
  /**
   * Plans without the values of parameters, as the server does for a prepared statement that it has run five times, unless
   * that looks dearer. The connection is closed after the session. Default false.
   */
  readonly generic?: boolean | undefined
  /** Settings of the server for this plan alone: `{ work_mem: '64MB', enable_seqscan: 'off' }`. */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

/** What can be explained: a Drizzle query, an SQL fragment, or a function of a session that makes any call. */
export type Explainable<TSession> = Streamable<unknown> | ((session: TSession) => unknown)

const explainOptions = optionNames<ExplainOptions>({
  analyze: 'boolean',
  buffers: 'boolean',
  generic: 'boolean',
  settings: true,
})

/** Explains on the session's own connection. */
export async function explainCall<TSchema extends Schema, TSession>(
  session: TaskSession<TSchema>,
  query: Explainable<TSession>,
  options: ExplainOptions,
  give: (session: TaskSession<TSchema>) => TSession,
): Promise<QueryPlan> {
  check(options)
  const statement =
    typeof query === 'function' ? await firstStatement(session, query, give) : session.drizzle.cursor(query, 'explain')
  const { analyze = false, generic = false, settings = {} } = options
  const explain = (ask: AskRows) =>
    generic ? explainGeneric(ask, statement.text).then(({ plan }) => plan) : explainStatement(ask, statement, options)
  const named = Object.entries(settings)
  // In a transaction a query that fails would end it: what only asks leaves no trace.
  if (!analyze && !generic && named.length === 0 && !session.inTransaction) return explain(askingOn(session))
  return undone(session, async (ask) => {
    for (const setting of named) await ask('select pg_catalog.set_config($1, $2, true)', setting)
    return explain(ask)
  })
}

function check(options: ExplainOptions): void {
  checkOptions('explain', explainOptions, options)
  const { analyze = false, buffers = false, generic = false, settings = {} } = options
  if (buffers && !analyze)
    throw new UsageError('explain: buffers are counted while a statement runs: add analyze: true')
  if (generic && analyze)
    throw new UsageError('explain: a plan without values cannot be run: leave out generic or analyze')
  if (typeof settings !== 'object' || Object.values(settings).some((value) => typeof value !== 'string')) {
    throw new UsageError("explain: settings are an object of texts: { work_mem: '64MB' }")
  }
}

function askingOn(session: TaskSession): AskRows {
  return (text, parameters, names) => session.run(text, parameters, { arrays: true, names })
}

/** Thrown by a unit of work that is to be rolled back, and caught again. */
class Undone extends Error {}

/** Runs `work` in a transaction that is rolled back, a savepoint in another one. */
async function undone<T, TSchema extends Schema>(
  session: TaskSession<TSchema>,
  work: (ask: AskRows) => Promise<T>,
): Promise<T> {
  let result: { readonly value: T } | undefined
  try {
    await session.transaction(async (nested) => {
      result = { value: await work(askingOn(nested as unknown as TaskSession)) }
      throw new Undone()
    })
  } catch (error) {
    if (!(error instanceof Undone)) throw error
  }
  if (result) return result.value
  throw new UsageError('explain ended without a plan')
}
