/**
 * What a task gets: a session, and nothing but the members of a session. Behind it stands the `TaskSession` that Rivulet
 * ends, counts and runs statements on, which only `taskSessionOf` reaches: neither the types nor a program get at it.
 */
import { UsageError } from '../errors.ts'
import type { Database, Schema, Streamable } from '../drizzle/driver.ts'
import type { SqlTag } from '../drizzle/sql-tag.ts'
import { type Explainable, explainCall, type ExplainOptions } from '../explain/explain-call.ts'
import type { QueryPlan } from '../plan/query-plan.ts'
import type { Task } from '../session/run-task.ts'
import type { CursorOptions } from '../session/server-cursor.ts'
import type { TaskSession, TransactionOptions } from '../session/session.ts'
import type { Deadline } from '../task/deadline.ts'
import { createRepository } from './table-repository.ts'
import type { Source } from './types/conventions.ts'
import type { RepositoryOf } from './types/operations.ts'

/**
 * What one task sees of the database, on one connection; it ends with its task. Its members may be destructured:
 * `engine.session(({ db, sql }) => …)`.
 */
export interface Session<TSchema extends Schema = Schema> {
  /** Drizzle on this session: core and relational queries, typed with the schema. */
  readonly db: Database<TSchema>
  /** Plain SQL: sql`select … where id = ${id}`; values become parameters. */
  readonly sql: SqlTag
  /** Typed operations on one table or view: `session.repository(products).get(id)`. */
  readonly repository: <TSource extends Source>(source: TSource) => RepositoryOf<TSource, TSchema>
  /**
   * Runs a unit of work in a transaction, or in a savepoint when there is one already: committed when it returns,
   * rolled back when it throws. The outermost is run again, as a whole, after 40001 and 40P01 (`attempts`, default 5),
   * and any is once when DDL has outdated a prepared statement in it, so it must be safe to run twice; what it does
   * outside the database is the caller's business.
   */
  readonly transaction: <T>(unitOfWork: Task<Session<TSchema>, T>, options?: TransactionOptions) => Promise<Awaited<T>>
  /**
   * Rows of a Drizzle query or SQL fragment, one by one, through a cursor on the server; leaving the loop closes it.
   * Outside a transaction the session belongs to the stream until it ends.
   */
  readonly stream: <TRow>(query: Streamable<TRow>, options?: CursorOptions) => AsyncGenerator<TRow, void, undefined>
  /**
   * The plan of a query, as a tree and as text, with what looks wrong in it: of a Drizzle query, an SQL fragment, or the
   * first statement that a function of a session sends, which is not sent: `explain(({ repository }) => repository(t).list())`.
   * Runs nothing, except with `analyze`. Its conditions show the values that the query was given. @throws UsageError for
   * what has no plan.
   */
  readonly explain: (query: Explainable<Session<TSchema>>, options?: ExplainOptions) => Promise<QueryPlan>
  /**
   * Aborted when the task should stop: its deadline passed, a sibling failed, or the caller cancelled. Not by the end of
   * the task: what it was given to, and nobody waits for, would fail unhandled.
   */
  readonly signal: AbortSignal
  /** When the task must be over; undefined without a limit. */
  readonly deadline: Deadline | undefined
  /** What the call was named by its options, or the gather and the key of its task. */
  readonly label: string | undefined
  /** The process id of the session's server process, as in pg_stat_activity. */
  readonly backendPid: number
  /** True while the session is in a transaction, so that locks and cursors last. */
  readonly inTransaction: boolean
}

/** The session of any task of any engine: the argument of repositories and queries that a program defines. */
export type AnySession = Omit<Session, 'db' | 'explain' | 'repository' | 'transaction'>

/** Set by the class, whose private field it reads. */
let behind: (session: object) => TaskSession | undefined

class OpenSession<TSchema extends Schema> implements Session<TSchema> {
  readonly #task: TaskSession<TSchema>

  static {
    behind = (session) => (#task in session ? session.#task : undefined)
  }

  constructor(task: TaskSession<TSchema>) {
    this.#task = task
  }

  get db() {
    return this.#task.db
  }

  get sql() {
    return this.#task.sql
  }

  get repository() {
    return <TSource extends Source>(source: TSource): RepositoryOf<TSource, TSchema> =>
      createRepository(this.#task, source)
  }

  get transaction() {
    return <T>(unitOfWork: Task<Session<TSchema>, T>, options?: TransactionOptions) =>
      this.#task.transaction(unitOfWork, options, createSession<TSchema>)
  }

  get stream() {
    return <TRow>(query: Streamable<TRow>, options?: CursorOptions) =>
      this.#task.stream(() => this.#task.drizzle.cursor(query), options)
  }

  get explain() {
    return (query: Explainable<Session<TSchema>>, options: ExplainOptions = {}) =>
      this.#task.track(explainCall(this.#task, query, options, createSession<TSchema>))
  }

  get signal() {
    return this.#task.signal
  }

  get deadline() {
    return this.#task.deadline
  }

  get label() {
    return this.#task.label
  }

  get backendPid() {
    return this.#task.backendPid
  }

  get inTransaction() {
    return this.#task.inTransaction
  }
}

/** What the task is given of its session. */
export function createSession<TSchema extends Schema>(task: TaskSession<TSchema>): Session<TSchema> {
  return new OpenSession(task)
}

/** The session behind one that a task was given. @throws UsageError for anything else. */
export function taskSessionOf(session: AnySession): TaskSession {
  const task = typeof session === 'object' && session !== null ? behind(session) : undefined
  if (task) return task
  throw new UsageError('this takes the session of a task: the one that engine.session, or a transaction, gave to it')
}
