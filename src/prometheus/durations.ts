/**
 * A histogram of durations for prom-client's registry. Its own puts a key together of all labels for every value, which takes
 * three times as long as all the rest of it: here a series is found once and kept by who records in it.
 * https://prometheus.io/docs/concepts/metric_types/#histogram
 */
import type { Histogram, Registry } from 'prom-client'

/** Seconds; what takes longer than the last is in no bucket but `+Inf`. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

type Labels = Readonly<Record<string, string>>

export class Durations {
  readonly name: string
  readonly help: string
  // What follows is what the registry takes for a metric.
  readonly type = 'histogram'
  readonly aggregator = 'sum'
  readonly #series = new Map<string, DurationSeries>()

  constructor(name: string, help: string, registry: Registry) {
    this.name = name
    this.help = help
    registry.registerMetric(this as unknown as Histogram)
  }

  /** The series of these labels, which are given in one order: there is one, and it stays. */
  series(labels: Labels): DurationSeries {
    const key = JSON.stringify(labels)
    let series = this.#series.get(key)
    if (!series) this.#series.set(key, (series = new DurationSeries(labels)))
    return series
  }

  get() {
    const { name, help, type, aggregator } = this
    const values = [...this.#series.values()].flatMap((series) => series.values(name))
    return Promise.resolve({ name, help, type, aggregator, values })
  }

  reset(): void {
    for (const series of this.#series.values()) series.reset()
  }
}

/** The durations that have one set of labels. */
export class DurationSeries {
  readonly #labels: Labels
  /** In each bucket alone; the last holds what is longer than all bounds. */
  readonly #counts = [...buckets, Infinity].map(() => 0)
  #sum = 0

  constructor(labels: Labels) {
    this.#labels = labels
  }

  observe(durationMs: number): void {
    const seconds = durationMs / 1000
    let bucket = 0
    while (bucket < buckets.length && seconds > (buckets[bucket] as number)) bucket += 1
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#sum += seconds
  }

  reset(): void {
    this.#counts.fill(0)
    this.#sum = 0
  }

  /** As the registry takes them; none before there is a duration. */
  values(name: string) {
    const labels = this.#labels
    let count = 0
    const cumulated = [...buckets, '+Inf'].map((le, index) => {
      count += this.#counts[index] as number
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count }
    })
    if (count === 0) return []
    return [
      ...cumulated,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: count },
    ]
  }
}
