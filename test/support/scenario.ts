/**
 * One scenario of the fault suite: a bank, an engine (behind a fault proxy when asked), a workload and a ledger; after
 * its body, the invariants. It ends with one line: faults, operations, what they ended with, and what is not lost.
 */
// oxlint-disable vitest/no-standalone-expect -- these checks are called from tests
import { expect } from 'vitest'
import type { PoolConfig } from '../../src/config.ts'
import type { Observer } from '../../src/observe/observation.ts'
import { type Bank, type BankEngine, openBank } from './bank.ts'
import type { FaultProxy } from './fault-proxy.ts'
import { activeHandles, eventually, expectClosed, expectHealthy, Ledger, recoveryMs } from './invariants.ts'
import { createRandom, type Random } from './random.ts'
import { Workload } from './workload.ts'

export interface ScenarioOptions {
  readonly pool?: PoolConfig
  /** Of every operation of the workload, in milliseconds. Default 1,000. */
  readonly timeoutMs?: number
  /** Another server than the run's. */
  readonly serverUrl?: string
  readonly observe?: Observer
}

export interface Scene {
  readonly bank: Bank
  readonly engine: BankEngine
  readonly proxy: FaultProxy
  readonly ledger: Ledger
  readonly random: Random
  readonly workload: Workload
  /** Counts one fault. */
  fault(): void
}

/** Runs `body` behind a proxy and holds the engine to the invariants. */
export async function scenario(
  name: string,
  { pool, timeoutMs = 1000, serverUrl, observe }: ScenarioOptions,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const random = createRandom(name)
  await using bank = await openBank(serverUrl)
  const proxy = await bank.proxy()
  // The admin's own connection does not count.
  await bank.admin.backends()
  const handles = activeHandles()
  const options = { proxy, pool: { max: 6, ...pool }, ...(observe === undefined ? {} : { observe }) }
  // Its limits are for the faults: before them, a busy machine may need several attempts to connect.
  const engine = await eventually(() => bank.engine(options), recoveryMs)
  const ledger = new Ledger()
  const workload = new Workload(engine, ledger, random, timeoutMs)
  let faults = 0
  await body({ bank, engine, proxy, ledger, random, workload, fault: () => void (faults += 1) })
  await workload.stop()
  await expectHealthy(engine, bank.admin)
  await workload.expectTruth(bank.admin)
  await ledger.expectClean()
  await engine.close({ timeoutMs: 2000 })
  await expectClosed(engine, bank.admin)
  await eventually(() => expect(openedSince(handles), 'handles left behind').toEqual({}))
  const unknown = workload.count('unknown')
  console.log(
    `${ledger.summary(name, faults)}; 0 uncaught, 0 hung, 0 of ${workload.count('acknowledged')} acknowledged writes ` +
      `lost or doubled, ${unknown} COMMITs unknown`,
  )
}

/** Sockets and timers there are more of than in `before`; the proxy's own are gone with the engine's. */
function openedSince(before: Record<string, number>): Record<string, number> {
  const more: Record<string, number> = {}
  for (const [kind, count] of Object.entries(activeHandles())) {
    if (/Socket|Pipe|TCP/.test(kind) && count > (before[kind] ?? 0)) more[kind] = count - (before[kind] ?? 0)
  }
  return more
}
