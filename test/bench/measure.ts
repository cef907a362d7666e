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
  /** Microseconds of CPU used so far, where the work is done by a process of its own. */
  cpuUs?(): Promise<number>
}

/** How one contender fared. */
export interface Measured {
  readonly name: string
  readonly how: string
  /** Operations a second: the median of the rounds, the slowest and the quickest. */
  readonly perSecond: Spread
  /** Throughput over that of each of the yardsticks in the same round. */
  readonly ratios: readonly Spread[]
  /** Microseconds of CPU an operation, where the contender tells. */
  readonly cpuUs: Spread | undefined
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
  const costs = contenders.map((): number[] => [])
  for (const contender of contenders) await throughput(contender, options)
  for (let round = 0; round < options.rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (turn + round) % contenders.length
      const contender = contenders[index]
      if (!contender) continue
      const { perSecond, cpuUs } = await throughput(contender, options)
      results[index]?.push(perSecond)
      if (cpuUs !== undefined) costs[index]?.push(cpuUs)
    }
  }
  const references = results.slice(0, options.yardsticks)
  return contenders.map(({ name, how }, index) => {
    const own = results[index] ?? []
    const ratios = references.map((reference) => {
      return spread(own.map((perSecond, round) => perSecond / (reference[round] ?? Number.NaN)))
    })
    const cost = costs[index] ?? []
    return { name, how, perSecond: spread(own), ratios, cpuUs: cost.length > 0 ? spread(cost) : undefined }
  })
}

/** One round. */
async function throughput(contender: Contender, { roundMs, concurrency }: MeasureOptions) {
  globalThis.gc?.()
  const usedBefore = (await contender.cpuUs?.()) ?? 0
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
  const perSecond = (done * 1000) / (performance.now() - startedAt)
  const used = await contender.cpuUs?.()
  return { perSecond, cpuUs: used === undefined ? undefined : (used - usedBefore) / done }
}

/** Milliseconds that operations take which begin at a steady rate, whatever becomes of those before: median, 99th in 100. */
export async function latency(
  contender: Contender,
  perSecond: number,
  forMs: number,
): Promise<{ p50: number; p99: number }> {
  const took: number[] = []
  const running: Promise<void>[] = []
  const startedAt = performance.now()
  const run = async (index: number, dueAt: number) => {
    await contender.run(index)
    // From when it was due: a client that is late must not make the server look quick.
    took.push(performance.now() - dueAt)
  }
  for (let index = 0; performance.now() - startedAt < forMs;) {
    const due = ((performance.now() - startedAt) * perSecond) / 1000
    for (; index < due; index++) running.push(run(index, startedAt + (index * 1000) / perSecond))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(running)
  const sorted = took.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.floor(sorted.length * part)] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? Number.NaN
  return { median: at(Math.floor(sorted.length / 2)), least: at(0), most: at(sorted.length - 1) }
}
