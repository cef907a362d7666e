/** What a benchmark is, and what comes of it. */
import type { Measured } from './measure.ts'

/** One question, with contenders that answer it in turns. */
export interface Benchmark {
  /** What `npm run bench -- NAME` calls it. */
  readonly name: string
  readonly title: string
  /** What it does not show. */
  readonly limits: string
  /** Those who do the same work, by their names. */
  readonly contenders?: readonly Contender[]
  /** Runs it on a database that has the shop with its sample data, and the rows of `schema.ts`. */
  run(place: Place): Promise<Outcome>
}

/** One way to do the work, opened in a process of its own. */
export interface Contender {
  readonly name: string
  /** What it does, in a few words. */
  readonly how: string
  open(url: string): Promise<Work>
}

/** Work on a client that is open. */
export interface Work extends AsyncDisposable {
  /** Does it once; `index` counts the calls, to vary the keys. */
  run(index: number): Promise<unknown>
}

/** What a benchmark runs on. */
interface Place {
  readonly url: string
  /** Lets the contenders take turns, or those that are named; with the first of them the others are compared. */
  race(options?: RaceOptions): Promise<Race>
}

export interface RaceOptions {
  /** Tells it from other races of the same benchmark. */
  readonly name?: string | undefined
  /** The contenders; default: all. */
  readonly among?: readonly string[] | undefined
  /** Default 7. */
  readonly rounds?: number | undefined
  /** Operations under way at once. Default 10. */
  readonly concurrency?: number | undefined
  /** False: they need not answer with the same values. */
  readonly sameValues?: boolean | undefined
}

/** What a benchmark has found. */
export interface Outcome {
  readonly races: readonly Race[]
  readonly goals: readonly Goal[]
}

/** Contenders that took turns; the first is what the others are compared with. */
export interface Race {
  readonly name?: string | undefined
  readonly results: readonly Measured[]
}

/** What one run must reach. */
export interface Goal {
  readonly what: string
  readonly is: number
  readonly unit: string
  readonly least?: number | undefined
  readonly most?: number | undefined
}

/** Work of an engine or a client, which is closed with it. */
export function workOf(client: AsyncDisposable, run: (index: number) => Promise<unknown>): Work {
  return { run, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() as Promise<void> }
}

/** How one contender fared. */
export function resultOf({ results }: Race, name: string): Measured {
  const result = results.find((each) => each.name === name)
  if (!result) throw new Error(`no contender is called ${name}`)
  return result
}

/** The throughput of one contender over that of another: the median of the rounds. */
export function rateRatio(race: Race, name: string, to: string): number {
  const [own, other] = [resultOf(race, name).rounds, resultOf(race, to).rounds]
  return median(own.map(({ perSecond }, round) => perSecond / (other[round]?.perSecond ?? Number.NaN)))
}

/** The CPU time of one contender over that of another, in the same way. */
export function cpuRatio(race: Race, name: string, to: string): number {
  const [own, other] = [resultOf(race, name).rounds, resultOf(race, to).rounds]
  return median(own.map(({ cpuUs }, round) => cpuUs / (other[round]?.cpuUs ?? Number.NaN)))
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** The best throughput of a race. */
export function bestRate({ results }: Race): number {
  return Math.max(...results.map(({ perSecond }) => perSecond.median))
}
