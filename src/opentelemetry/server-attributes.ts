/**
 * Which server a connection leads to, by its backend's process id, as attributes of spans and metrics. Of several servers in
 * one address only the connection knows the one that was reached; observations have its process id.
 */
import type { Attributes } from '@opentelemetry/api'
import type { Observation } from '../observe/observation.ts'

/** Connections that broke and whose last statement may not have been told yet; more of them are forgotten. */
const mostLost = 100

export class ServerAttributes {
  /** Of a statement whose server is not known. */
  readonly #unknown: Attributes
  readonly #byPid = new Map<number, Attributes>()
  /** One object a server, for those who keep more under it. */
  readonly #byPlace = new Map<string, Attributes>()
  readonly #lost: number[] = []

  constructor(database: string) {
    this.#unknown = { 'db.system.name': 'postgresql', 'db.namespace': database }
  }

  of(backendPid: number): Attributes {
    return this.#byPid.get(backendPid) ?? this.#unknown
  }

  /** Takes note of a new connection. */
  opened(observation: Observation): void {
    if (observation.type !== 'connection.opened') return
    const { backendPid, host, port } = observation
    // A Unix socket has a directory in the place of a host, and its port is the name of a file in there.
    const place = host.startsWith('/') ? {} : { 'server.port': port }
    const name = `${host}:${port}`
    const known = this.#byPlace.get(name) ?? { ...this.#unknown, 'server.address': host, ...place }
    this.#byPlace.set(name, known)
    this.#byPid.set(backendPid, known)
  }

  /** Forgets a connection that is gone. */
  closed(observation: Observation): void {
    if (observation.type === 'connection.retired') this.#byPid.delete(observation.backendPid)
    if (observation.type !== 'connection.lost') return
    this.#lost.push(observation.backendPid)
    if (this.#lost.length > mostLost) this.#byPid.delete(this.#lost.shift() ?? 0)
  }
}
