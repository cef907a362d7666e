/**
 * What a scenario does to an engine while faults happen: many workers, each with calls of every kind under a deadline.
 * Every read echoes a nonce and must get its own back. Every transfer writes two halves of one entry and moves money
 * between two accounts; whether it was acknowledged, failed or is unknown is kept, and compared with what the server has.
 */
// oxlint-disable vitest/no-standalone-expect -- these checks are called from tests
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { CommitOutcomeUnknown } from '../../src/errors.ts'
import type { Admin } from './admin.ts'
import type { BankEngine, BankSession } from './bank.ts'
import { type Ledger, secret } from './invariants.ts'
import type { Random } from './random.ts'

type Fate = 'acknowledged' | 'failed' | 'unknown'

export class Workload {
  /** What became of each transfer. */
  readonly fates = new Map<string, Fate>()
  /** Why transfers failed, for the report of one that is stored all the same. */
  readonly #reasons = new Map<string, string>()
  /** Reads that got an answer that was not theirs. */
  readonly wrong: string[] = []
  readonly #engine: BankEngine
  readonly #ledger: Ledger
  readonly #random: Random
  readonly #timeoutMs: number
  #count = 0
  #stopped = false
  #workers: Promise<unknown> = Promise.resolve()

  constructor(engine: BankEngine, ledger: Ledger, random: Random, timeoutMs: number) {
    this.#engine = engine
    this.#ledger = ledger
    this.#random = random
    this.#timeoutMs = timeoutMs
  }

  start(workers: number): void {
    this.#stopped = false
    this.#workers = Promise.all(Array.from({ length: workers }, () => this.#work()))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#workers
  }

  /** Runs for a while, then stops. */
  async run(workers: number, durationMs: number): Promise<void> {
    this.start(workers)
    await sleep(durationMs)
    await this.stop()
  }

  /** Acknowledged is there, once and whole; failed is not; unknown is one of the two; no money was made or lost. */
  async expectTruth(admin: Admin): Promise<void> {
    expect(this.wrong, 'answers that belonged to somebody else').toEqual([])
    const rows = await admin.sql<{ nonce: string; halves: number }[]>`
      select nonce, count(*)::int as halves from entries group by nonce`
    const stored = new Map(rows.map(({ nonce, halves }) => [nonce, halves]))
    const lies: string[] = []
    for (const [nonce, fate] of this.fates) {
      const halves = stored.get(nonce) ?? 0
      if (halves === 1) lies.push(`${nonce}: half a transaction`)
      else if (fate === 'acknowledged' && halves !== 2) lies.push(`${nonce}: acknowledged and lost`)
      else if (fate === 'failed' && halves !== 0)
        lies.push(`${nonce}: said to have failed (${this.#reasons.get(nonce)}), but stored`)
    }
    expect(lies).toEqual([])
    const [money] = await admin.sql<{ sum: number }[]>`select sum(balance)::int as sum from accounts`
    expect(money?.sum, 'money in the bank').toBe(1000)
  }

  /** Forgets what has been checked, so that hours of work take no memory. */
  async forget(admin: Admin): Promise<void> {
    this.fates.clear()
    this.#reasons.clear()
    await admin.sql`truncate entries`
  }

  /** How many transfers met this fate. */
  count(fate: Fate): number {
    return [...this.fates.values()].filter((other) => other === fate).length
  }

  async #work(): Promise<void> {
    const kinds = [() => this.#echo(), () => this.#transfer(), () => this.#gather(), () => this.#pipelined()]
    while (!this.#stopped) {
      const outcome = await this.#random.pick(kinds)()
      // Whoever was refused pauses a moment, as a client would.
      if ('error' in outcome) await sleep(this.#random.between(1, 10))
    }
  }

  #nonce(): string {
    return `${secret}-${this.#random.seed}-${++this.#count}`
  }

  #echo() {
    const options = { timeoutMs: this.#timeoutMs }
    return this.#ledger.watch(this.#timeoutMs, () => this.#engine.session((session) => this.#ask(session), options))
  }

  #gather() {
    const ask = (session: BankSession) => this.#ask(session)
    const options = { timeoutMs: this.#timeoutMs, snapshot: this.#random.next() < 0.3 }
    return this.#ledger.watch(this.#timeoutMs, () => this.#engine.gather({ a: ask, b: ask, c: ask }, options))
  }

  #pipelined() {
    const options = { timeoutMs: this.#timeoutMs }
    const task = (session: BankSession) => Promise.all([this.#ask(session), this.#ask(session), this.#ask(session)])
    return this.#ledger.watch(this.#timeoutMs, () => this.#engine.session(task, options))
  }

  async #ask({ sql }: BankSession): Promise<void> {
    const nonce = this.#nonce()
    const [row] = await sql<{ nonce: string }>`select ${nonce}::text as nonce`
    if (row?.nonce !== nonce) this.wrong.push(`${nonce}: got ${row?.nonce}`)
  }

  async #transfer() {
    const nonce = this.#nonce()
    const [from, to] = [this.#random.between(1, 5), this.#random.between(6, 10)]
    const unit = async ({ sql }: BankSession) => {
      await sql`insert into entries (nonce, half) values (${nonce}, 1)`
      await sql`update accounts set balance = balance - 1 where id = ${from} and balance > 0`.then(({ count }) =>
        count === 1 ? sql`update accounts set balance = balance + 1 where id = ${to}` : undefined,
      )
      await sql`insert into entries (nonce, half) values (${nonce}, 2)`
    }
    const options = { timeoutMs: this.#timeoutMs }
    const outcome = await this.#ledger.watch(this.#timeoutMs, () => this.#engine.transaction(unit, options))
    const lost = 'error' in outcome && outcome.error instanceof CommitOutcomeUnknown
    if ('error' in outcome) this.#reasons.set(nonce, String(outcome.error))
    this.fates.set(nonce, 'value' in outcome ? 'acknowledged' : lost ? 'unknown' : 'failed')
    return outcome
  }
}
