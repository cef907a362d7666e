/** The process itself ends: asked to, with work in flight, or killed. What it acknowledged is there, and nothing half. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { Admin } from '../support/admin.ts'
import { openBank } from '../support/bank.ts'
import { compiledProgram } from '../support/compiled-package.ts'
import { eventually, recoveryMs } from '../support/invariants.ts'
import { long } from '../support/random.ts'

const program = compiledProgram('test/support/child-transfers.ts')

async function runAndSignal(signal: 'SIGTERM' | 'SIGKILL') {
  await using bank = await openBank()
  const child = spawn(process.execPath, [program, bank.url], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [output, complaints] = ['', '']
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (complaints += String(chunk)))
  await eventually(() => expect(output.split('\n').length).toBeGreaterThan(50), recoveryMs)
  const startedAt = performance.now()
  child.kill(signal)
  const [code] = (await once(child, 'close')) as [number | null]
  const tookMs = performance.now() - startedAt
  await using admin = new Admin(bank.url)
  await eventually(async () => expect(await admin.backends()).toEqual([]))
  const rows = await admin.sql<{ nonce: string; halves: number }[]>`
    select nonce, count(*)::int as halves from entries group by nonce`
  expect(rows.filter(({ halves }) => halves !== 2)).toEqual([])
  const stored = new Set(rows.map(({ nonce }) => nonce))
  const acknowledged = output.split('\n').filter(Boolean)
  expect(acknowledged.filter((nonce) => !stored.has(nonce))).toEqual([])
  console.log(`${signal} with work in flight: 1 fault, ${acknowledged.length} acknowledged, 0 lost, exit ${code}`)
  return { code, tookMs, complaints, acknowledged, stored }
}

test('SIGTERM with work in flight: it is finished or refused, and the process ends by itself', async () => {
  for (let turn = 0; turn < (long ? 10 : 1); turn++) {
    const { code, tookMs, complaints, acknowledged, stored } = await runAndSignal('SIGTERM')
    expect(code).toBe(0)
    expect(tookMs).toBeLessThan(3000)
    expect(complaints).not.toMatch(/Unhandled|uncaught/i)
    // Whoever was told nothing was not served: a drain leaves no outcome open.
    expect(stored.size).toBe(acknowledged.length)
  }
}, 120_000)

test('SIGKILL with work in flight: what was acknowledged is there, and no transaction is half done', async () => {
  for (let turn = 0; turn < (long ? 10 : 1); turn++) await runAndSignal('SIGKILL')
}, 120_000)
