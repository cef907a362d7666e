/** Contenders as processes, and the races between them. */
import { deepStrictEqual } from 'node:assert'
import { type ChildProcess, fork, type ForkOptions } from 'node:child_process'
import { once } from 'node:events'
import type { Benchmark, Race, RaceOptions } from './benchmark.ts'
import { measure, type Racer, type Round, type RoundOptions } from './measure.ts'

/** What the process of a contender is asked. */
export type Asked = { readonly round: RoundOptions } | { readonly index: number }
/** What it answers. */
export type Answered =
  | { readonly ready: true }
  | { readonly round: Round }
  | { readonly value: unknown }
  | { readonly failure: string }

/** Lets the contenders of a benchmark take turns. @throws when they answer with different values: it would not be the same work. */
export async function raceOf(benchmark: Benchmark, url: string, options: RaceOptions = {}): Promise<Race> {
  const { name, among, rounds = 7, concurrency = 10, sameValues = true } = options
  const chosen = (benchmark.contenders ?? []).filter((contender) => among?.includes(contender.name) ?? true)
  const racers = await Promise.all(chosen.map(({ name, how }) => ContenderProcess.open(benchmark.name, name, how, url)))
  try {
    if (sameValues) await mustAgree(racers)
    return { name, results: await measure(racers, { rounds, roundMs: 500, concurrency, yardsticks: 1 }) }
  } finally {
    await Promise.all(racers.map((racer) => racer.close()))
  }
}

class ContenderProcess implements Racer {
  readonly name: string
  readonly how: string
  readonly #child: ChildProcess
  readonly #ended: Promise<never>

  private constructor(name: string, how: string, child: ChildProcess) {
    this.name = name
    this.how = how
    this.#child = child
    this.#ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the process of ${name} has ended with ${String(code)}`)
    })
    this.#ended.catch(() => undefined)
  }

  static async open(benchmark: string, name: string, how: string, url: string): Promise<ContenderProcess> {
    const path = new URL('./contender-process.js', import.meta.url)
    // Values travel as they are: Date, bigint.
    const options: ForkOptions = { execArgv: [], serialization: 'advanced' }
    const racer = new ContenderProcess(name, how, fork(path, [benchmark, name, url], options))
    await racer.#answer()
    return racer
  }

  async round(options: RoundOptions): Promise<Round> {
    const answered = await this.#ask({ round: options })
    if (!('round' in answered)) throw new Error(`${this.name} answers a round with ${Object.keys(answered).join()}`)
    return answered.round
  }

  async value(index: number): Promise<unknown> {
    const answered = await this.#ask({ index })
    return 'value' in answered ? answered.value : undefined
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  #ask(asked: Asked): Promise<Answered> {
    this.#child.send(asked)
    return this.#answer()
  }

  async #answer(): Promise<Answered> {
    const [answered] = (await Promise.race([once(this.#child, 'message'), this.#ended])) as [Answered]
    if ('failure' in answered) throw new Error(`${this.name}: ${answered.failure}`)
    return answered
  }
}

async function mustAgree(racers: readonly ContenderProcess[]): Promise<void> {
  for (const index of [0, 7]) {
    const [first, ...others] = await Promise.all(racers.map((racer) => racer.value(index)))
    for (const other of others) deepStrictEqual(other, first)
  }
}
