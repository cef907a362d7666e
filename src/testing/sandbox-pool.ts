/**
 * The pool of a sandbox: as many connections as are asked for, all of them in its one transaction. They cost nothing, so
 * that a session inside a session never lacks one; how many of them run at once is decided statement by statement.
 */
import type { PoolSettings } from '../config.ts'
import type { Publish } from '../observe/observation.ts'
import type { Connection } from '../pool/connection.ts'
import { Pool } from '../pool/pool.ts'
import type { AcquireRequest, Holder } from '../pool/wait-queue.ts'
import { type OpenConnection, OuterTransaction } from './outer-transaction.ts'
import { SandboxConnection } from './sandbox-connection.ts'

/** Nothing of what a pool does for real connections: they are not probed, replaced, or looked after. */
const bounds = { max: 10_000, idleTimeoutMs: 0, maxLifetimeMs: 0, probeAfterMs: 0, catalogCheckMs: 0 }

export class SandboxPool extends Pool {
  readonly #outer: OuterTransaction

  constructor(settings: PoolSettings, open: OpenConnection, publish: Publish) {
    const outer = new OuterTransaction(open, settings.acquireTimeoutMs)
    const join = async (signal: AbortSignal) => {
      await outer.begin(signal)
      return new SandboxConnection(outer)
    }
    super({ ...settings, ...bounds }, join, publish)
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

  override setHolder(connection: Connection, holder: Holder): void {
    super.setHolder(connection, holder)
    if (connection instanceof SandboxConnection) connection.holder = holder
  }

  /** Undoes all work, and begins anew. @throws UsageError while a transaction is open. */
  rollback(): Promise<void> {
    return this.#outer.restart()
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#outer.close()
  }
}
