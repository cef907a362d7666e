/**
 * What a server says about itself: asked for once, when the connection is opened, and kept up to date by what it reports
 * (ParameterStatus). PostgreSQL 14 and later report `in_hot_standby` and `default_transaction_read_only`, so that a
 * failover is noticed; of a server, or a pooler, whose reports are missing or wrong the first answer counts.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
 */
import type { SessionKind } from '../address/server-address.ts'

/**
 * What is asked for when a connection is opened; the rows of the first and the last statement are the answer. Server,
 * database or role may limit a statement to less than the last one takes, on a backend that has everything to load yet:
 * the limit is lifted for that.
 */
export const askServer = `show statement_timeout; set local statement_timeout = 0; select
  pg_catalog.pg_is_in_recovery() as standby,
  current_setting('default_transaction_read_only') = 'on' as "readOnly",
  pg_catalog.pg_backend_pid() as pid,
  (select extract(epoch from backend_start)::text
    from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())) as started`

export type ServerAnswer = readonly [readonly [{ readonly statement_timeout: string }], readonly [ServerFacts]]

export interface ServerFacts {
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
  readonly #asked: ServerFacts
  /**
   * The limit that server, database or role put on a statement, in milliseconds; 0 is none. As it was when the connection
   * was opened: one that is tightened later holds for statements without a deadline at once, for others on new connections.
   */
  readonly timeoutMs: number
  readonly #reportsStandby: boolean
  readonly #reportsReadOnly: boolean

  /** `reported` is what it has reported while the connection was opened. */
  constructor([[limit], [asked]]: ServerAnswer, reported: ReadonlyMap<string, string>) {
    this.parameters = this.#reported = new Map(reported)
    this.#atFirst = reported
    this.timeoutMs = milliseconds(limit.statement_timeout)
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

  /** Whether this setting of the session is not what it was when the connection was opened, as far as it is reported. */
  hasChanged(name: string): boolean {
    return this.#changed.has(name)
  }

  /** Whether a setting of the session is not what it was when the connection was opened. */
  get settingsChanged(): boolean {
    return this.#changed.size > 0
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

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 }

/** PostgreSQL shows a duration in the largest unit in which it is whole, and 0 without one. */
function milliseconds(text: string): number {
  const [, number = '0', unit = 'ms'] = /^(\d+)(\w*)$/.exec(text) ?? []
  return Number(number) * (unitMs[unit || 'ms'] ?? 1)
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off'
}
