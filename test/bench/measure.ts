/**
 * Throughput and CPU time of contenders, fairly: each is a process of its own, because the optimisations that V8 makes for one
 * are undone by the others in the same process; and in every round each of them runs for the same time, in an order that
 * turns from round to round, so that a machine that slows down slows all of them down. Ratios are taken within a round.
 * Kept harnesses (mitata, tinybench) time one call after another, and one contender after another: neither is what a pool is for.
 */

/** How work is done in one round. */
export interface RoundOptions {
  /** Milliseconds it goes on. */
  readonly roundMs: number
  /** Operations under way at once. */
  readonly concurrency: number
}

export interface Round {
  /** Operations a second. */
  readonly perSecond: number
  /** Microseconds of CPU an operation, of the process that does the work; the database's are not among them. */
  readonly cpuUs: number
}

/** One way to do the work, ready to run. */
export interface Racer {
  readonly name: string
  /** What it does, in a few words. */
  readonly how: string
  round(options: RoundOptions): Promise<Round>
}

/** How one contender fared. */
export interface Measured {
  readonly name: string
  readonly how: string
  /** Of each round. */
  readonly rounds: readonly Round[]
  /** Operations a second: the median of the rounds, the slowest and the quickest. */
  readonly perSecond: Spread
  /** Throughput over that of each of the yardsticks in the same round. */
  readonly ratios: readonly Spread[]
  readonly cpuUs: Spread
}

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

export interface MeasureOptions extends RoundOptions {
  readonly rounds: number
  /** How many of the contenders, from the first, the others are compared with. */
  readonly yardsticks: number
}

/** Measures all contenders. */
export async function measure(racers: readonly Racer[], options: MeasureOptions): Promise<readonly Measured[]> {
  const results = racers.map((): Round[] => [])
  // Until the code is compiled that is run most.
  for (const racer of racers) await racer.round({ ...options, roundMs: options.roundMs * 3 })
  for (let round = 0; round < options.rounds; round++) {
    for (let turn = 0; turn < racers.length; turn++) {
      const index = (turn + round) % racers.length
      const found = await racers[index]?.round(options)
      if (found) results[index]?.push(found)
    }
  }
  const references = results.slice(0, options.yardsticks)
  return racers.map(({ name, how }, index) => {
    const rounds = results[index] ?? []
    const ratios = references.map((reference) => {
      return spread(rounds.map(({ perSecond }, round) => perSecond / (reference[round]?.perSecond ?? Number.NaN)))
    })
    const perSecond = spread(rounds.map((round) => round.perSecond))
    return { name, how, rounds, perSecond, ratios, cpuUs: spread(rounds.map(({ cpuUs }) => cpuUs)) }
  })
}

/** Does the work for a while. `usedUs` tells the CPU time of the process that does it; default: of this one. */
export async function runRound(
  run: (index: number) => Promise<unknown>,
  { roundMs, concurrency }: RoundOptions,
  usedUs: () => number | Promise<number> = ownCpuUs,
): Promise<Round> {
  // No collection is forced: with the objects V8 would throw away code that it has compiled for them.
  const usedBefore = await usedUs()
  let done = 0
  let index = 0
  const startedAt = performance.now()
  const endsAt = startedAt + roundMs
  const worker = async () => {
    while (performance.now() < endsAt) {
      await run(index++)
      done += 1
    }
  }
  // All have ended, also when one has failed: what still ran would meet closed connections.
  for (const ended of await Promise.allSettled(Array.from({ length: concurrency }, worker))) {
    if (ended.status === 'rejected') throw ended.reason
  }
  const perSecond = (done * 1000) / (performance.now() - startedAt)
  return { perSecond, cpuUs: ((await usedUs()) - usedBefore) / done }
}

function ownCpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Milliseconds that operations take which begin at a steady rate, whatever becomes of those before: median, 99th in 100. */
export async function latency(
  operation: (index: number) => Promise<unknown>,
  perSecond: number,
  forMs: number,
): Promise<{ p50: number; p99: number }> {
  const took: number[] = []
  const running: Promise<void>[] = []
  const startedAt = performance.now()
  const run = async (index: number, dueAt: number) => {
    await operation(index)
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
