/**
 * Notices that columns or functions have changed their types. A prepared statement keeps the types of its parameters, so
 * that an old one may store a wrong value without an error: what was parsed for `timestamp` drops the time zone that
 * `timestamptz` would heed. The pool then prepares nothing more on the connections there are, and replaces them.
 *
 * While there is a connection that has prepared anything, one query each interval asks for a sum over the catalog: names
 * and types of columns, names and arguments of functions; about a millisecond for sixty tables, ten for a thousand. Tables
 * and partitions that are added do not change it, nor do temporary tables; one that is dropped does. Between the change and
 * the next look the old statements are in use; a lock of the change makes open transactions wait.
 * https://www.postgresql.org/docs/current/catalog-pg-attribute.html
 */
import { DatabaseError } from '../errors.ts'
import type { Connection } from './connection.ts'

/** The sum over all that is older than an oid, and over all; and the largest oid. */
const fingerprint = (newest: string) => `
  select coalesce(sum(type) filter (where oid <= ${newest}), 0)::text as known, coalesce(sum(type), 0)::text as all,
    coalesce(max(oid), 0)::text as newest
  from (
    select c.oid, pg_catalog.hashoidextended(a.atttypid, pg_catalog.hashtextextended(a.attname::text, c.name)) as type
    from pg_catalog.pg_attribute a join (
      select c.oid, pg_catalog.hashtextextended(c.relname::text, pg_catalog.hashtextextended(n.nspname::text, 0)) as name
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't' and c.oid >= 16384
    ) c on c.oid = a.attrelid
    where a.attnum > 0
    union all
    select p.oid, pg_catalog.hashtextextended(p.proname::text || p.proargtypes::text, p.pronamespace::int8)
    from pg_catalog.pg_proc p where p.oid >= 16384
  ) catalog`

/** Milliseconds after which another connection is asked. */
const patienceMs = 5000

interface Fingerprint {
  readonly known: string
  readonly all: string
  readonly newest: string
}

/** What is watched, and who is told. */
export interface Watched {
  /** The connections there are. */
  readonly connections: () => Iterable<Connection>
  /** One of them that can be asked at once: an idle one, else one whose session does nothing; undefined when all work. */
  readonly idle: () => Connection | undefined
  /** Called when types have changed. */
  readonly changed: () => void
}

export class CatalogWatch {
  /** Milliseconds between two looks; 0 is never. */
  readonly #intervalMs: number
  readonly #watched: Watched
  #timer: NodeJS.Timeout | undefined
  /** What was seen last. */
  #seen: Fingerprint | undefined
  /** A look was due while no connection was idle: the next one that comes back is asked. */
  #due = false
  /** Since when a connection has been asked that has not answered. */
  #askedAt: number | undefined

  constructor(intervalMs: number, watched: Watched) {
    this.#intervalMs = intervalMs
    this.#watched = watched
  }

  /** A connection was opened. The first is asked at once: what it prepares later is newer than what is seen now. */
  opened(connection: Connection): void {
    if (this.#intervalMs === 0 || this.#timer) return
    this.#timer = setInterval(() => this.#look(), this.#intervalMs)
    this.#timer.unref()
    void this.#ask(connection)
  }

  /** A connection comes back. */
  returned(connection: Connection): void {
    if (this.#due) void this.#ask(connection)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = this.#seen = undefined
    this.#due = false
  }

  /** Looks now, or as soon as a connection is idle. */
  #look(): void {
    const connections = [...this.#watched.connections()]
    if (connections.length === 0) return this.stop()
    if (!connections.some(({ prepared }) => prepared.size > 0)) return
    const connection = this.#watched.idle()
    if (connection) void this.#ask(connection)
    else this.#due = true
  }

  async #ask(connection: Connection): Promise<void> {
    const now = performance.now()
    // One that does not answer must not be waited for: another is asked.
    if (this.#askedAt !== undefined && now - this.#askedAt < patienceMs) return
    this.#askedAt = now
    this.#due = false
    const timer = this.#timer
    try {
      const seen = this.#seen
      // Without an earlier look nothing is known of what was prepared before.
      const unknown = !seen && [...this.#watched.connections()].some(({ prepared }) => prepared.size > 0)
      const [row] = (await connection.script(fingerprint(seen?.newest ?? '0'))) as unknown as [Fingerprint]
      if (this.#timer !== timer) return
      this.#seen = row
      if (seen ? seen.all !== row.known : unknown) this.#watched.changed()
    } catch (error) {
      // Lost, or stopped by a limit or a lock: the next look tells. What cannot be asked here at all is not asked again.
      const never = error instanceof DatabaseError && error.sqlState.startsWith('42') && this.#seen === undefined
      if (never) this.stop()
      else this.#due = this.#timer !== undefined
    } finally {
      if (this.#askedAt === now) this.#askedAt = undefined
    }
  }
}
