/**
 * The soak, by hand: `npm run test:soak`. A fault of every kind every few seconds for RIVULET_SOAK_MINUTES (30), under a
 * steady workload, on a server of its own; every minute memory, handles and counts are printed, at the end the verdict.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { eventually } from '../support/invariants.ts'
import { openPrivateServer } from '../support/private-server.ts'
import { keptBytes } from '../support/memory.ts'
import { scenario, type Scene } from '../support/scenario.ts'

const minutes = Number(process.env.RIVULET_SOAK_MINUTES ?? 30)

test(`a fault every few seconds for ${minutes} minutes`, { timeout: (minutes + 5) * 60_000 }, async () => {
  await using server = await openPrivateServer({ max_connections: '40' })
  await scenario('soak', { serverUrl: server.url, pool: { max: 8 } }, async (scene) => {
    const { bank, engine, proxy, workload, random, ledger, fault } = scene
    const restart = async () => {
      await server.kill()
      await sleep(random.between(0, 1000))
      await server.start()
      proxy.retarget(server.urlOf(bank.name))
    }
    const pause = async () => {
      await server.pause()
      await sleep(random.between(200, 3000))
      await server.resume()
    }
    const faults: readonly (() => unknown)[] = [
      () => terminateOne(scene),
      () => terminateOne(scene),
      () => bank.admin.terminate(),
      () => proxy.openLinks.forEach((link) => link.reset()),
      () => proxy.openLinks.forEach((link) => link.stall()),
      () => proxy.openLinks.slice(0, 2).forEach((link) => link.stall()),
      () => proxy.openLinks.slice(0, 2).forEach((link) => link.cut()),
      () => proxy.openLinks.slice(0, 2).forEach((link) => link.talkGarbage()),
      () => proxy.openLinks.forEach((link) => (link.sliced = true)),
      () => proxy.openLinks.forEach((link) => (link.delayMs = random.between(1, 50))),
      () => outage(scene),
      pause,
      restart,
    ]
    const heap: number[] = []
    let [acknowledged, unknown] = [0, 0]
    const until = performance.now() + minutes * 60_000
    let nextReport = performance.now()
    workload.start(12)
    while (performance.now() < until) {
      await sleep(random.between(1000, 4000))
      await random.pick(faults)()
      fault()
      await eventually(() => engine.session(({ sql }) => sql`select 1`, { timeoutMs: 1000 }), 30_000)
      for (const link of proxy.openLinks) if (link.stalled && random.next() < 0.5) link.reset()
      if (performance.now() < nextReport) continue
      nextReport += 60_000
      await workload.stop()
      unknown += workload.count('unknown')
      acknowledged += workload.count('acknowledged')
      await workload.expectTruth(bank.admin)
      await workload.forget(bank.admin)
      workload.start(12)
      proxy.forgetClosed()
      const keptMib = keptBytes() / 2 ** 20
      heap.push(keptMib)
      const { open, opened, lost } = engine.stats()
      const left = Math.round((until - performance.now()) / 60_000)
      console.log(
        `${left} min left: heap ${keptMib.toFixed(0)} MiB, ${open} open, ${opened} opened, ${lost} lost, ` +
          `${ledger.operations} operations, ${ledger.succeeded} done, ${acknowledged} acknowledged and there, ${unknown} unknown`,
      )
    }
    await workload.stop()
    for (const link of proxy.openLinks) link.reset()
    await eventually(() => expect(engine.stats().leased).toBe(0), 10_000)
    console.log(`heap by the minute, in MiB: ${heap.map((mib) => mib.toFixed(0)).join(' ')}`)
    // The first minute fills caches; from then on nothing may add up.
    expect(Math.max(...heap.slice(-3)), 'MiB kept at the end').toBeLessThan(Math.max(...heap.slice(0, 3)) + 8)
  })
})

async function terminateOne({ bank, random }: Scene): Promise<void> {
  const backends = await bank.admin.backends()
  if (backends.length > 0) await bank.admin.terminate(random.pick(backends).pid)
}

async function outage({ proxy, random }: Scene): Promise<void> {
  proxy.opening = random.pick([
    'end',
    'reset',
    'silence',
    'garbage',
    'half an answer',
    'end after first answer',
  ] as const)
  for (const link of proxy.openLinks) link.reset()
  await sleep(random.between(200, 3000))
  proxy.opening = 'pass'
}
