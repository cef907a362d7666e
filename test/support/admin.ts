/**
 * A second pair of eyes: one plain postgres.js connection to the server, past engine and proxy, that sees the engine's
 * backends in pg_stat_activity, kills them, and waits for what they do.
 */
import postgres from 'postgres'
import { parseDatabaseUrl } from '../../src/config.ts'

export interface Backend {
  readonly pid: number
  readonly state: string
  readonly query: string
  readonly waiting: string | null
}

export class Admin implements AsyncDisposable {
  readonly sql: postgres.Sql
  readonly #applicationName: string

  constructor(url: string, applicationName = 'rivulet') {
    const { host, port, user, password, database } = parseDatabaseUrl(url)
    this.#applicationName = applicationName
    this.sql = postgres({
      host,
      port,
      user,
      password,
      database,
      max: 1,
      onnotice: () => undefined,
      connection: { application_name: 'admin' },
    })
  }

  /** The engine's backends in this database. */
  async backends(): Promise<Backend[]> {
    const rows = await this.sql<Backend[]>`
      select pid, coalesce(state, 'starting') as state, query, wait_event as waiting from pg_stat_activity
      where application_name = ${this.#applicationName} and datname = current_database() order by pid`
    return [...rows]
  }

  /** Heavyweight locks that the engine's backends hold on relations, transactions and advisory keys. */
  async locks(): Promise<unknown[]> {
    const rows = await this.sql`
      select locktype, mode, relation::regclass::text from pg_locks join pg_stat_activity using (pid)
      where application_name = ${this.#applicationName} and datname = current_database() and locktype <> 'virtualxid'`
    return [...rows]
  }

  async preparedTransactions(): Promise<unknown[]> {
    return [...(await this.sql`select gid from pg_prepared_xacts where database = current_database()`)]
  }

  /** Ends backends as an administrator would: all of the engine's, or one. Answers how many. */
  async terminate(pid?: number): Promise<number> {
    const rows = await this.sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = ${this.#applicationName} and datname = current_database()
        and (${pid ?? null}::int is null or pid = ${pid ?? null})`
    return rows.length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sql.end({ timeout: 1 })
  }
}
