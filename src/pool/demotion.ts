/**
 * Which connections to replace because of what another one has met at the same place: a server that takes no writes,
 * while a fresh connection would find one that does, or a server that has fallen silent. After a failover the old ones
 * lead to what is a standby now, or nowhere.
 *
 *   trusted ──a write refused (25006), and not by the session's own wish──▶ doubted ──a fresh one takes writes──▶ outdated
 *
 * The connection that was refused is replaced, and only if the fresh one takes writes are those outdated that were opened
 * before it to the same place. Where everything is read-only on purpose, a stray write costs one connection every few
 * seconds at most.
 */
import { backoffMs, type BackoffOptions } from '../task/backoff.ts'
import type { Connection } from './connection.ts'

/** Between two connections replaced for the same doubt, longer while the doubt comes back; no one else knows of it. */
const pauses: BackoffOptions = { firstMs: 1000, longestMs: 10_000, jitter: 0 }
/** Milliseconds without a refusal after which the first pause is enough again. */
const forgottenMs = 60_000

export class Demotion {
  /** Places that are doubted, since when. */
  readonly #doubted = new Map<string, number>()
  /** Connections to a place that were opened before this time are outdated. */
  readonly #outdatedBefore = new Map<string, number>()
  /** Whether a fresh connection is wanted although no call waits: to see what the server is by now. */
  wantsFresh = false
  /** Doubts that came back, one after the other. */
  #inARow = 0
  #patientUntil = 0

  /** Whether a connection that comes back is to be replaced because it was refused a write. */
  doubts(connection: Connection, now: number): boolean {
    const { server } = connection
    if (!connection.refusedWrite) return false
    connection.refusedWrite = false
    // Its session asked for a read-only transaction: the server itself would have taken the write.
    if (server.reports && !server.readOnly) return false
    if (now < this.#patientUntil) return false
    if (now > this.#patientUntil + forgottenMs) this.#inARow = 0
    this.#patientUntil = now + backoffMs(this.#inARow, pauses)
    this.#inARow += 1
    this.#doubted.set(placeOf(connection), now)
    this.wantsFresh = true
    return true
  }

  /** Takes note of a fresh connection; true when others are outdated by it. */
  admitted(fresh: Connection): boolean {
    if (this.#doubted.size === 0 || fresh.server.readOnly) return false
    for (const [place, since] of this.#doubted) this.#outdatedBefore.set(place, since)
    this.#doubted.clear()
    return true
  }

  /** Takes note of a connection that has fallen silent: what took it, others have met as well. */
  fellSilent(connection: Connection): void {
    this.#outdatedBefore.set(placeOf(connection), performance.now())
  }

  /** Whether a connection leads to a server that is not what it was, or is not what was asked for any more. */
  outdates({ openedAt, server, address }: Connection): boolean {
    if (!server.is(address.sessionKind)) return true
    if (this.#outdatedBefore.size === 0) return false
    return openedAt < (this.#outdatedBefore.get(placeOf({ address })) ?? 0)
  }
}

function placeOf({ address: { host, port, ip } }: Pick<Connection, 'address'>): string {
  return `${ip ?? host}:${port}`
}
