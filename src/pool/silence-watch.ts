/**
 * Finds connections whose other side has gone without a word: a host that died, a firewall that forgot the connection.
 * TCP alone waits a quarter of an hour for an acknowledgement, and for ever for an answer, so a statement without a time
 * limit would never end.
 *
 *   heard ──no byte for probeAfterMs, a statement in flight──▶ looked for ──found amiss──▶ looked for again ──▶ given up
 *     ▲─────────────a byte, or nothing amiss───────────────────────┴──────────────────────────────┘
 *
 * However long a statement takes, it is not given up while its backend works on it. A server that is out of reach is
 * given as long to come back. One timer looks at all connections
 * every few seconds; statements cost nothing.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { ConnectionLost } from '../errors.ts'
import { describeAddress } from '../address/server-address.ts'
import { endBackends, type BackendFinding, lookFor } from './backend-probe.ts'
import type { Connection } from './connection.ts'

export interface SilenceWatchOptions {
  /** Milliseconds of silence after which a backend is looked for; 0: never. */
  readonly probeAfterMs: number
  /** Milliseconds to connect for that. */
  readonly connectTimeoutMs: number
  /** The connections that may wait for an answer. */
  readonly watched: () => Iterable<Connection>
  /** Told of every connection that is given up. */
  readonly gaveUp?: (connection: Connection) => void
}

/** Milliseconds between looks at the connections, and between finding one amiss and making sure; at most. */
const longestPauseMs = 5000

const reasons: Readonly<Record<BackendFinding, string>> = {
  there: 'its backend does not answer',
  waiting: 'its backend waits for what has been lost on the way',
  gone: 'its backend is not there any more',
  'out of reach': 'no server answers there',
}

interface Heard {
  readonly bytes: number
  readonly at: number
}

export class SilenceWatch {
  readonly #options: SilenceWatchOptions
  readonly #heard = new WeakMap<Connection, Heard>()
  /** The places that are being looked at. */
  readonly #busy = new Map<string, Promise<void>>()
  readonly #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined

  constructor(options: SilenceWatchOptions) {
    this.#options = options
  }

  /** Begins to watch; does nothing when it does already. */
  start(): void {
    const { probeAfterMs } = this.#options
    if (this.#timer || probeAfterMs === 0 || this.#stopped.signal.aborted) return
    const everyMs = Math.max(10, Math.min(longestPauseMs, probeAfterMs / 4))
    this.#timer = setInterval(() => this.#look(), everyMs)
    this.#timer.unref()
  }

  /** Resolves when no probe is open any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#stopped.abort()
    await Promise.all(this.#busy.values())
  }

  #look(): void {
    const silent = new Map<string, Connection[]>()
    for (const connection of this.#options.watched()) {
      if (!this.#isSilent(connection)) continue
      const { host, port, ip } = connection.address
      const place = `${ip ?? host}:${port}`
      silent.set(place, [...(silent.get(place) ?? []), connection])
    }
    for (const [place, connections] of silent) {
      if (this.#busy.has(place)) continue
      const examined = this.#examine(connections).finally(() => this.#busy.delete(place))
      this.#busy.set(place, examined)
    }
  }

  /** Whether a connection has waited for long without a byte; a byte that has come since the last look is taken down. */
  #isSilent(connection: Connection): boolean {
    if (connection.inFlight === 0 || connection.lost) return false
    const now = performance.now()
    const heard = this.#heard.get(connection)
    if (heard?.bytes === connection.bytesRead) return now - heard.at >= this.#options.probeAfterMs
    this.#heard.set(connection, { bytes: connection.bytesRead, at: now })
    return false
  }

  /** Gives up those connections that stay amiss, without a byte in between. */
  async #examine(connections: readonly Connection[]): Promise<void> {
    const { probeAfterMs, connectTimeoutMs, gaveUp } = this.#options
    const { signal } = this.#stopped
    const pauseMs = Math.min(longestPauseMs, probeAfterMs)
    const startedAt = performance.now()
    let suspects = connections
    let before: ReadonlyMap<Connection, BackendFinding> = new Map()
    while (!signal.aborted) {
      const findings = await lookFor(suspects, { connectTimeoutMs, signal })
      suspects = suspects.filter((connection) => this.#isAmiss(connection, findings))
      // A server may be out of reach for a while, and TCP outlast it.
      const outlasted = performance.now() - startedAt >= probeAfterMs
      const isSure = (connection: Connection) =>
        findings.get(connection) === before.get(connection) &&
        (outlasted || findings.get(connection) !== 'out of reach')
      const lost = suspects.filter(isSure)
      before = findings
      for (const connection of lost) {
        giveUp(connection, findings.get(connection))
        gaveUp?.(connection)
      }
      const left = lost.filter((connection) => findings.get(connection) === 'waiting')
      if (left.length > 0) await endBackends(left, { connectTimeoutMs, signal })
      suspects = suspects.filter((connection) => !lost.includes(connection))
      if (suspects.length === 0) return
      await delay(pauseMs, undefined, { signal, ref: false }).catch(() => undefined)
    }
  }

  /** Not amiss is also what has been heard of meanwhile; the rest is asked about again after a while. */
  #isAmiss(connection: Connection, findings: ReadonlyMap<Connection, BackendFinding>): boolean {
    if (!this.#isSilent(connection)) return false
    if (findings.get(connection) !== 'there') return true
    this.#heard.set(connection, { bytes: connection.bytesRead, at: performance.now() })
    return false
  }
}

function giveUp(connection: Connection, finding: BackendFinding = 'there'): void {
  const place = describeAddress(connection.address)
  connection.lose(new ConnectionLost(`${place} has fallen silent: ${reasons[finding]}`))
  connection.destroy()
}
