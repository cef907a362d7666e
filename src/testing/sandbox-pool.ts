/**
 * The pool of a sandbox: as many connections as are asked for, all of them in its one transaction. They cost nothing, so
 * that a session inside a session never lacks one; how many of them run at once is decided statement by statement.
 */
import type { PoolSettings } from '../config.ts'
import { UsageError } from '../errors.ts'
import type { RetireReason } from '../observe/observation.ts'
import type { Observers } from '../observe/observers.ts'
import type { Connection } from '../pool/connection.ts'
import { Pool } from '../pool/pool.ts'
import type { AcquireRequest, PoolLease } from '../pool/wait-queue.ts'
import { type OpenConnection, OuterTransaction } from './outer-transaction.ts'
import { SandboxConnection } from './sandbox-connection.ts'

/** Nothing of what a pool does for real connections: they are not probed, replaced, or looked after. */
const bounds = { max: 10_000, idleTimeoutMs: 0, maxLifetimeMs: 0, probeAfterMs: 0, catalogCheckMs: 0 }

export class SandboxPool extends Pool {
  readonly #outer: OuterTransaction
  readonly #leased = new Set<SandboxConnection>()

  constructor(settings: PoolSettings, open: OpenConnection, observers: Observers) {
    const outer = new OuterTransaction(open, settings.acquireTimeoutMs)
    const join = async (signal: AbortSignal) => {
      await outer.begin(signal)
      return new SandboxConnection(outer)
    }
    super({ ...settings, ...bounds }, join, observers)
    this.#outer = outer
  }

  /** One task of a gather at a time, as there is one connection: with a snapshot, none waits for another's. */
  override get max(): number {
    return 1
  }

  override tryAcquire(): Connection | undefined {
    return this.#outer.lost ? undefined : super.tryAcquire()
  }

  override acquire(request: AcquireRequest): Promise<Connection> {
    const { lost } = this.#outer
    return lost ? Promise.reject(lost) : super.acquire(request)
  }

  override setLease(connection: Connection, lease: PoolLease): void {
    super.setLease(connection, lease)
    if (!(connection instanceof SandboxConnection)) return
    connection.lease = lease
    this.#leased.add(connection)
  }

  override release(connection: Connection, retire?: RetireReason): void {
    if (connection instanceof SandboxConnection) this.#leased.delete(connection)
    super.release(connection, retire)
  }

  /** Undoes all work, and begins anew. @throws UsageError while a session is open, or is to be opened. */
  async rollback(): Promise<void> {
    const isOpen = [...this.#leased].some(({ givenUp }) => !givenUp)
    if (isOpen || this.stats().waiting > 0) {
      throw new UsageError('a session is open in the sandbox: await it before you roll back')
    }
    await this.#outer.restart()
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#outer.close()
  }
}
