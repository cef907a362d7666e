/** Our histogram beside prom-client's own, which it stands in for. */
import { array, assert, asyncProperty, constantFrom, double, oneof, record, tuple } from 'fast-check'
import { Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { Durations } from '../../src/prometheus/durations.ts'

const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** The same metric by both. */
function both() {
  const [own, theirs] = [new Registry(), new Registry()]
  const durations = new Durations('waits_seconds', 'Waits.', own)
  const histogram = new Histogram({
    name: 'waits_seconds',
    help: 'Waits.',
    labelNames: ['pool', 'label'],
    buckets,
    registers: [theirs],
  })
  const observe = (labels: { pool: string; label: string }, ms: number) => {
    durations.series(labels).observe(ms)
    histogram.observe(labels, ms / 1000)
  }
  return { own, theirs, observe }
}

/** Without the exemplars, of which there are none. */
const asJson = async (registry: Registry) => {
  const text = JSON.stringify(await registry.getMetricsAsJSON(), (name, value: unknown) =>
    name === 'exemplar' ? undefined : value,
  )
  return JSON.parse(text) as unknown
}

const anyDuration = oneof(constantFrom(0, 1, 2.5, 10_000, 10_000.1), double({ min: 0, max: 20_000, noNaN: true }))

test('tells what the histogram of prom-client tells', async () => {
  const anyLabels = record({
    pool: constantFrom('a', 'b'),
    label: constantFrom('', 'page', 'a "quoted" one\n'),
  })
  await assert(
    asyncProperty(array(tuple(anyLabels, anyDuration), { maxLength: 40 }), async (values) => {
      const { own, theirs, observe } = both()
      for (const [labels, ms] of values) observe(labels, ms)
      expect(await own.metrics()).toBe(await theirs.metrics())
      expect(await asJson(own)).toEqual(await asJson(theirs))
    }),
  )
})

test('begins anew when the registry is reset, and goes with it when it is joined with another', async () => {
  const { own, theirs, observe } = both()
  observe({ pool: 'a', label: '' }, 3)
  expect(await Registry.merge([own]).metrics()).toBe(await Registry.merge([theirs]).metrics())
  own.resetMetrics()
  theirs.resetMetrics()
  expect(await own.metrics()).toBe(await theirs.metrics())
  observe({ pool: 'a', label: '' }, 4)
  expect(await own.metrics()).toBe(await theirs.metrics())
})
