/**
 * In which order the places of an address are tried: as they are written, or shuffled, and last those that lately did not
 * answer or were not what was asked for. Each address that a host name stands for is a place of its own.
 * Without the memory every new connection would wait for a host that is down. (pgjdbc's hostRecheckSeconds)
 */
import dns from 'node:dns'
import { isIP } from 'node:net'
import type { Endpoint, ServerAddress } from '../address/server-address.ts'
import { ConnectionLost } from '../errors.ts'
import { backoffMs, type BackoffOptions } from '../task/backoff.ts'

/** For how long a place that failed is tried last, longer while it goes on failing; nobody waits for it, so no one is spread. */
const distrust: BackoffOptions = { firstMs: 10_000, longestMs: 300_000, jitter: 0 }

export class HostOrder {
  readonly #distrust = new Map<string, { readonly until: number; readonly failures: number }>()

  /**
   * The places, names resolved, as late as possible; a name that stands for nothing is handed to `unresolved`.
   * @throws the signal's reason.
   */
  async *places(
    { endpoints, shuffled }: Pick<ServerAddress, 'endpoints' | 'shuffled'>,
    signal: AbortSignal,
    unresolved: (error: ConnectionLost) => void,
  ): AsyncGenerator<Endpoint> {
    const later: Endpoint[] = []
    for (const endpoint of shuffled ? shuffle(endpoints) : endpoints) {
      let found: Endpoint[] = []
      try {
        found = await resolved(endpoint, signal)
      } catch (error) {
        signal.throwIfAborted()
        unresolved(error as ConnectionLost)
      }
      for (const place of shuffled ? shuffle(found) : found) {
        if (this.#distrusts(place)) later.push(place)
        else yield place
      }
    }
    yield* later
  }

  /** Remembers whether a place was of use. */
  record(place: Endpoint, useful: boolean): void {
    const key = keyOf(place)
    if (useful) return void this.#distrust.delete(key)
    const failures = this.#distrust.get(key)?.failures ?? 0
    this.#distrust.set(key, { until: performance.now() + backoffMs(failures, distrust), failures: failures + 1 })
  }

  #distrusts(place: Endpoint): boolean {
    return performance.now() < (this.#distrust.get(keyOf(place))?.until ?? 0)
  }
}

function keyOf({ host, port, ip }: Endpoint): string {
  return `${ip ?? host}:${port}`
}

/** Looked up as the system does it, /etc/hosts included, and anew each time: names move. */
function resolved(endpoint: Endpoint, signal: AbortSignal): Promise<Endpoint[]> {
  const { host, port, ip } = endpoint
  if (ip !== undefined || host.startsWith('/') || isIP(host)) return Promise.resolve([endpoint])
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    dns.lookup(host, { all: true }, (cause, addresses) => {
      signal.removeEventListener('abort', onAbort)
      if (cause) {
        const text = `cannot reach PostgreSQL at ${host}:${port} (${cause.code}): is the name right?`
        reject(new ConnectionLost(text, { cause }))
      } else resolve(addresses.map(({ address }) => ({ ...endpoint, ip: address })))
    })
  })
}

function shuffle<T>(items: readonly T[]): T[] {
  const left = [...items]
  return items.map(() => left.splice(Math.floor(Math.random() * left.length), 1)[0] as T)
}
