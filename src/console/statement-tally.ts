/**
 * The statements of an engine while somebody looks: how often each was sent, and how long it took. Bounded: of more texts than
 * are kept, the one that was sent longest ago gives way.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { ObservationOf } from '../observe/observation.ts'
import { querySummary } from '../observe/query-summary.ts'

/** One statement, times in milliseconds. */
export interface StatementView {
  readonly id: number
  /** What it does and on which tables. */
  readonly summary: string
  /** With `?` for every literal, unless values are shown. */
  readonly text: string
  readonly count: number
  readonly failures: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly totalMs: number
}

interface Tally {
  readonly id: number
  readonly text: string
  readonly histogram: RecordableHistogram
  failures: number
  totalMs: number
  lastAt: number
}

const mostTexts = 200
/** Characters of a text that are kept; those that begin alike are one. */
const longestText = 20_000
/** Microseconds: an hour. */
const longestTime = 3_600_000_000

export class StatementTally {
  readonly #tallies = new Map<string, Tally>()
  #lastId = 0

  add({ text: whole, durationMs, error }: ObservationOf<'statement.finished'>, now: number): void {
    const text = whole.length > longestText ? whole.slice(0, longestText) : whole
    const tally = this.#tallies.get(text) ?? this.#begin(text)
    tally.histogram.record(Math.min(longestTime, Math.max(1, Math.round(durationMs * 1000))))
    tally.totalMs += durationMs
    tally.lastAt = now
    if (error !== undefined) tally.failures += 1
  }

  /** The `most` that took the longest in all, those that were sent most often, and those that took longest at the worst. */
  views(most: number, showValues: boolean): StatementView[] {
    const all = [...this.#tallies.values()]
    const by = (value: (tally: Tally) => number) => all.toSorted((a, b) => value(b) - value(a)).slice(0, most)
    const first = [
      ...by(({ totalMs }) => totalMs),
      ...by(({ histogram }) => histogram.count),
      ...by(({ histogram }) => histogram.percentile(99)),
    ]
    return [...new Set(first)].map((tally) => viewOf(tally, showValues))
  }

  /** The text of one; undefined when it has given way, or was too long to be kept whole. */
  textOf(id: number): string | undefined {
    const text = [...this.#tallies.values()].find((tally) => tally.id === id)?.text
    return text === undefined || text.length >= longestText ? undefined : text
  }

  #begin(text: string): Tally {
    if (this.#tallies.size >= mostTexts) {
      const [oldest] = [...this.#tallies.values()].sort((a, b) => a.lastAt - b.lastAt)
      if (oldest) this.#tallies.delete(oldest.text)
    }
    this.#lastId += 1
    // Two figures of each number: some kilobytes a statement.
    const histogram = createHistogram({ lowest: 1, highest: longestTime, figures: 2 })
    const tally: Tally = { id: this.#lastId, text, histogram, failures: 0, totalMs: 0, lastAt: 0 }
    this.#tallies.set(text, tally)
    return tally
  }
}

function viewOf({ id, text, histogram, failures, totalMs }: Tally, showValues: boolean): StatementView {
  const told = querySummary(text)
  return {
    id,
    summary: told.summary ?? 'statement',
    text: showValues ? text : told.text,
    count: histogram.count,
    failures,
    p50Ms: histogram.percentile(50) / 1000,
    p99Ms: histogram.percentile(99) / 1000,
    maxMs: histogram.max / 1000,
    totalMs,
  }
}
