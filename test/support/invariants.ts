/**
 * What must hold after every scenario, whatever was done to the engine: nothing uncaught, nothing leased or waiting, the
 * server agrees with `stats()` and holds no transaction or lock of ours, every promise settled in its time, and no
 * message repeats SQL or a parameter. The checks poll, within the bounds the project promises (healthy within 2 s).
 */
// oxlint-disable vitest/no-standalone-expect -- these checks are called from tests
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Engine } from '../../src/engine.ts'
import { RivuletError } from '../../src/errors.ts'
import type { Schema } from '../../src/drizzle/driver.ts'
import type { Admin } from './admin.ts'

/** Values with this prefix are sent as parameters only; no error may ever hold it. */
export const secret = 'SECRET_e7b1'

/** What came of the operations of one scenario. */
export class Ledger {
  operations = 0
  succeeded = 0
  /** How often each error code was met. */
  readonly failures = new Map<string, number>()
  readonly #uncaught: unknown[] = []
  readonly #late: string[] = []
  readonly #loose: string[] = []
  #pending = 0
  readonly #onUncaught = (error: unknown) => void this.#uncaught.push(error)

  constructor() {
    process.on('unhandledRejection', this.#onUncaught)
    process.on('uncaughtExceptionMonitor', this.#onUncaught)
  }

  /** Watches one operation that must settle within `deadlineMs` and 20 %; never rejects, answers what came of it. */
  async watch<T>(
    deadlineMs: number,
    start: () => Promise<T>,
  ): Promise<{ readonly value: T } | { readonly error: unknown }> {
    const watch = stopwatch()
    this.operations += 1
    this.#pending += 1
    try {
      const value = await start()
      this.succeeded += 1
      return { value }
    } catch (error) {
      const code = error instanceof RivuletError ? error.code : `foreign: ${String(error)}`
      this.failures.set(code, (this.failures.get(code) ?? 0) + 1)
      if (!(error instanceof RivuletError)) this.#loose.push(code)
      const text = everythingIn(error)
      if (text.includes(secret)) this.#loose.push(text)
      return { error }
    } finally {
      this.#pending -= 1
      const tookMs = watch()
      if (tookMs > deadlineMs * 1.2 + 25) this.#late.push(`${Math.round(tookMs)} ms of ${deadlineMs} ms`)
    }
  }

  /** One line for the scenario's table. */
  summary(name: string, faults: number): string {
    const failures = [...this.failures].map(([code, count]) => `${code} ${count}`).join(', ')
    return `${name}: ${faults} faults, ${this.operations} operations, ${this.succeeded} done; ${failures || 'no failures'}`
  }

  /** All operations have settled in time, with typed errors that give nothing away, and nothing was uncaught. */
  async expectClean(): Promise<void> {
    await eventually(() => expect(this.#pending, 'operations still pending').toBe(0))
    // Unhandled rejections are reported after the microtasks of the turn.
    await sleep(0)
    process.off('unhandledRejection', this.#onUncaught)
    process.off('uncaughtExceptionMonitor', this.#onUncaught)
    expect(this.#uncaught, 'uncaught').toEqual([])
    expect(this.#loose, 'untyped errors, or errors that repeat a parameter').toEqual([])
    expect(this.#late, 'settled too late').toEqual([])
  }
}

/** When the event loop turned last, and how long it has stood still, because this process had no processor or was busy. */
const blocked = { totalMs: 0, lastTurn: performance.now() }
const turnMs = 10
setInterval(() => {
  const now = performance.now()
  blocked.totalMs += Math.max(0, now - blocked.lastTurn - turnMs)
  blocked.lastTurn = now
}, turnMs).unref()

/** Milliseconds in which the event loop has not turned so far, what has just ended included. */
function blockedMs(): number {
  return blocked.totalMs + Math.max(0, performance.now() - blocked.lastTurn - turnMs)
}

/** Starts a watch that says the milliseconds since; what the machine withheld from this process is not the engine's. */
export function stopwatch(): () => number {
  const startedAt = performance.now()
  const blockedBefore = blockedMs()
  return () => performance.now() - startedAt - (blockedMs() - blockedBefore)
}

/** Everything a log could show of an error: message, stack, properties, causes, related errors. */
export function everythingIn(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 5) return String(error)
  const parts = [error.name, error.message, error.stack ?? '']
  for (const key of Object.getOwnPropertyNames(error)) {
    if (['cause', 'related', 'stack', 'message', 'name'].includes(key)) continue
    parts.push(key, JSON.stringify((error as unknown as Record<string, unknown>)[key]) ?? '')
  }
  const related = error instanceof RivuletError ? error.related : []
  for (const inner of [error.cause, ...related]) if (inner !== undefined) parts.push(everythingIn(inner, depth + 1))
  return parts.join('\n')
}

/** Milliseconds after which an engine that has not recovered never will, on however slow a machine. */
export const recoveryMs = 60_000

/** Polls until `check` throws no more; then answers. Throws what it threw last when the time is up. */
export async function eventually<T>(check: () => T | Promise<T>, withinMs = 5000): Promise<T> {
  const giveUpAt = performance.now() + withinMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > giveUpAt) throw error
      await sleep(5)
    }
  }
}

/** Nothing is leased, nobody waits, and the server sees what `stats()` says: no transaction, no lock. */
export async function expectQuiet<TSchema extends Schema>(engine: Engine<TSchema>, admin: Admin): Promise<void> {
  await eventually(async () => {
    const { leased, waiting, opening, closing, open, idle, max } = engine.stats()
    expect({ leased, waiting, opening, closing }).toEqual({ leased: 0, waiting: 0, opening: 0, closing: 0 })
    expect(open).toBe(idle)
    expect(open).toBeLessThanOrEqual(max)
    const backends = await admin.backends()
    expect(backends.filter(({ state }) => state !== 'idle')).toEqual([])
    expect(backends.length, 'backends on the server, against stats().open').toBe(engine.stats().open)
    expect(await admin.locks(), 'locks left behind').toEqual([])
    expect(await admin.preparedTransactions()).toEqual([])
  })
}

/** The engine answers again within two seconds, and its sessions get their own answers. */
export async function expectHealthy<TSchema extends Schema>(engine: Engine<TSchema>, admin: Admin): Promise<void> {
  const nonce = Math.random().toString(36)
  await eventually(async () => {
    const [row] = await engine.session(({ sql }) => sql<{ nonce: string }>`select ${nonce}::text as nonce`, {
      timeoutMs: 1000,
    })
    expect(row?.nonce).toBe(nonce)
  }, 2000)
  await expectQuiet(engine, admin)
}

/** After `close`: no backend on the server, no socket, timer or listener of ours in this process. */
export async function expectClosed<TSchema extends Schema>(engine: Engine<TSchema>, admin: Admin): Promise<void> {
  const { open, opening, closing, leased, waiting } = engine.stats()
  expect({ open, opening, closing, leased, waiting }).toEqual({
    open: 0,
    opening: 0,
    closing: 0,
    leased: 0,
    waiting: 0,
  })
  await eventually(async () => expect(await admin.backends()).toEqual([]))
}

/** What keeps this process alive, by kind. */
export function activeHandles(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}
