/**
 * Throughput of contenders in one process, fairly: in every round each of them runs for the same time, in an order that
 * turns from round to round, so that a machine that slows down slows all of them down. Ratios are taken within a round.
 */

/** One way to do the work. */
export interface Contender {
  readonly name: string
  /** What it does, in a few words. */
  readonly how: string
  /** Does it once; `index` counts the calls, to vary the keys. */
  run(index: number): Promise<unknown>
}

/** How one contender fared. */
export interface Measured {
  readonly name: string
  readonly how: string
  /** Operations a second: the median of the rounds, the slowest and the quickest. */
  readonly perSecond: Spread
  /** Throughput over that of each of the yardsticks in the same round. */
  readonly ratios: readonly Spread[]
}

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

export interface MeasureOptions {
  readonly rounds: number
  /** Milliseconds a contender runs in a round. */
  readonly roundMs: number
  /** Operations under way at once. */
  readonly concurrency: number
  /** How many of the contenders, from the first, the others are compared with. */
  readonly yardsticks: number
}

/** Measures all contenders. */
export async function measure(contenders: readonly Contender[], options: MeasureOptions): Promise<readonly Measured[]> {
  const results = contenders.map((): number[] => [])
  for (const contender of contenders) await throughput(contender, options)
  for (let round = 0; round < options.rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (turn + round) % contenders.length
      const contender = contenders[index]
      if (contender) results[index]?.push(await throughput(contender, options))
    }
  }
  const references = results.slice(0, options.yardsticks)
  return contenders.map(({ name, how }, index) => {
    const own = results[index] ?? []
    const ratios = references.map((reference) => {
      return spread(own.map((perSecond, round) => perSecond / (reference[round] ?? Number.NaN)))
    })
    return { name, how, perSecond: spread(own), ratios }
  })
}

async function throughput(contender: Contender, { roundMs, concurrency }: MeasureOptions): Promise<number> {
  globalThis.gc?.()
  let done = 0
  let index = 0
  const startedAt = performance.now()
  const endsAt = startedAt + roundMs
  const worker = async () => {
    while (performance.now() < endsAt) {
      await contender.run(index++)
      done += 1
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return (done * 1000) / (performance.now() - startedAt)
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? Number.NaN
  return { median: at(Math.floor(sorted.length / 2)), least: at(0), most: at(sorted.length - 1) }
}
