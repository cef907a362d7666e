/**
 * `openSandbox`: an engine for a test, whose work is never committed. It is an engine like any other, on a pool whose
 * connections share one transaction (`sandbox-pool.ts`). The idea is that of Ecto's SQL sandbox.
 * https://hexdocs.pm/ecto_sql/Ecto.Adapters.SQL.Sandbox.html
 */
import type { Config } from '../config.ts'
import type { Schema } from '../drizzle/driver.ts'
import { type Engine, openEngineOn } from '../engine.ts'
import { SandboxPool } from './sandbox-pool.ts'

/** An engine whose work is rolled back; closing rolls back as well. */
export interface Sandbox<TSchema extends Schema = Schema> extends AsyncDisposable {
  readonly engine: Engine<TSchema>
  /** Undoes all that was done so far; the engine goes on. @throws UsageError while a session is open in it. */
  rollback(): Promise<void>
  /** Undoes everything, and closes the engine. Work under way is cancelled: it would be undone all the same. */
  close(): Promise<void>
}

/**
 * Opens an engine on one connection, in one transaction that is rolled back in the end. Inside, everything works that an
 * engine does: sessions, transactions (savepoints), gather and map (one task after the other), streams, identities,
 * repositories, time limits and cancelling. Deferred constraints are checked where a transaction would commit.
 *
 * What cannot hold there, so that a test of it needs a database of its own and a real engine:
 * - Isolation between sessions: all see each other's uncommitted rows. Isolation levels are ignored, nothing is ever
 *   serialised, and `snapshot: true` sees what the tasks before it wrote, not one instant. `readOnly` does hold.
 * - A session opened inside a transaction is a part of it: it is undone with it, its owner waits for it, and the deferred
 *   constraints of both are checked where it would commit.
 * - Concurrency: one statement runs at a time. Two sessions that wait for each other, or for each other's locks, end with
 *   PoolTimeout (`pool.acquireTimeoutMs`). Another sandbox on the same database waits for the rows this one has written.
 * - `now()` stands still from the beginning of the sandbox on; `clock_timestamp()` does not.
 * - Sequences go on: keys are not the same after a rollback. Temporary tables, advisory locks of a session, and LISTEN
 *   outlive their session: they last until the sandbox is rolled back or closed.
 * - NOTIFY is never delivered, what needs to be outside a transaction (VACUUM, CREATE INDEX CONCURRENTLY) is refused, and
 *   so is a procedure that commits.
 * @throws as `openEngine` does.
 */
export async function openSandbox<TSchema extends Schema>(config: Config<TSchema>): Promise<Sandbox<TSchema>> {
  let pool!: SandboxPool
  const engine = await openEngineOn(config, (...given) => (pool = new SandboxPool(...given)), 'openSandbox')
  const close = () => engine.close({ timeoutMs: 0 })
  return { engine, rollback: () => pool.rollback(), close, [Symbol.asyncDispose]: close }
}
