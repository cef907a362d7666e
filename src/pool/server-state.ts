/**
 * What a server says about itself: asked for once, when the connection is opened, and kept up to date by what it reports
 * (ParameterStatus). PostgreSQL 14 and later report `in_hot_standby` and `default_transaction_read_only`, so that a
 * failover is noticed; of a server, or a pooler, whose reports are missing or wrong the first answer counts.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
 */
import type { SessionKind } from '../address/server-address.ts'

/** What is asked for when a connection is opened, in one row. */
export const askServer = `select
  extract(epoch from current_setting('statement_timeout')::interval)::float8 * 1000 as "timeoutMs",
  pg_catalog.pg_is_in_recovery() as standby,
  current_setting('default_transaction_read_only') = 'on' as "readOnly",
  pg_catalog.pg_backend_pid() as pid,
  (select extract(epoch from backend_start)::text
    from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())) as started`

export interface ServerAnswer {
  /** The limit that server, database or role put on a statement, in milliseconds; 0 is none. */
  readonly timeoutMs: number
  readonly standby: boolean
  readonly readOnly: boolean
  readonly pid: number
  /** When the backend started: with its pid it is told apart from a later one of the same pid. */
  readonly started: string | null
}

export class ServerState {
  /** What the server has reported last, by name; what SET LOCAL or a role changes is reported as well. */
  readonly parameters: ReadonlyMap<string, string>
  readonly #reported: Map<string, string>
  readonly #atFirst: ReadonlyMap<string, string>
  /** Parameters that are not what they were at first. */
  readonly #changed = new Set<string>()
  readonly #asked: ServerAnswer
  readonly #reportsStandby: boolean
  readonly #reportsReadOnly: boolean

  /** `reported` is what it has reported while the connection was opened. */
  constructor(asked: ServerAnswer, reported: ReadonlyMap<string, string>) {
    this.parameters = this.#reported = new Map(reported)
    this.#atFirst = reported
    this.#asked = asked
    this.#reportsStandby = reported.get('in_hot_standby') === onOff(asked.standby)
    this.#reportsReadOnly = reported.get('default_transaction_read_only') === onOff(asked.readOnly)
  }

  /** The server reports the value of a parameter. */
  report(name: string, value: string): void {
    this.#reported.set(name, value)
    if (name === 'in_hot_standby' || this.#atFirst.get(name) === value) this.#changed.delete(name)
    else this.#changed.add(name)
  }

  /** Whether a setting of the session is not what it was when the connection was opened. */
  get settingsChanged(): boolean {
    return this.#changed.size > 0
  }

  get timeoutMs(): number {
    return this.#asked.timeoutMs
  }

  get standby(): boolean {
    return this.#reportsStandby ? this.parameters.get('in_hot_standby') === 'on' : this.#asked.standby
  }

  /** Whether transactions are read-only that do not say what they are. */
  get readOnly(): boolean {
    if (this.standby) return true
    const { parameters } = this
    return this.#reportsReadOnly ? parameters.get('default_transaction_read_only') === 'on' : this.#asked.readOnly
  }

  /** False where the server may have changed without telling. */
  get reports(): boolean {
    return this.#reportsStandby && this.#reportsReadOnly
  }

  /** Whether it is what `target_session_attrs` asks for; as a second choice anything is. */
  is(kind: SessionKind): boolean {
    switch (kind) {
      case 'any':
        return true
      case 'read-write':
        return !this.readOnly
      case 'read-only':
        return this.readOnly
      case 'primary':
        return !this.standby
      case 'standby':
      case 'prefer-standby':
        return this.standby
    }
  }
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off'
}
