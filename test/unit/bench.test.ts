/** What benchmarks tell, from rounds that are made up. */
import { expect, test } from 'vitest'
import { baseOf, describeChanges } from '../bench/base.ts'
import type { Goal } from '../bench/benchmark.ts'
import { benchmarks } from '../bench/benchmarks/index.ts'
import { chart } from '../bench/chart.ts'
import { measure, type Racer, type Round } from '../bench/measure.ts'
import { describeOutcome, type Finding, page } from '../bench/report.ts'

/** A contender whose rounds are these, over and over. */
function racer(name: string, rounds: readonly Round[]): Racer {
  let at = 0
  // The first is there to become warm.
  return { name, how: `as ${name}`, round: async () => rounds[(at++ + rounds.length - 1) % rounds.length] as Round }
}

async function finding(name: string, ownUs: number, goal: Partial<Goal> = {}): Promise<Finding> {
  const racers = [
    racer('postgres.js', [
      { perSecond: 100, cpuUs: 50 },
      { perSecond: 200, cpuUs: 50 },
      { perSecond: 400, cpuUs: 50 },
    ]),
    racer('Rivulet <own>', [{ perSecond: 300, cpuUs: ownUs }]),
  ]
  const results = await measure(racers, { rounds: 3, roundMs: 1, concurrency: 1, yardsticks: 1 })
  const goals = [{ what: 'rate', is: 1.5, unit: 'x', least: 1, ...goal }]
  const benchmark = { name, title: `About ${name}`, limits: 'Little.', run: () => Promise.reject(new Error('unused')) }
  return { benchmark, outcome: { races: [{ results }], goals } }
}

test('figures are the median of the rounds, and ratios are taken within one', async () => {
  expect(describeOutcome(await finding('point-read', 75))).toMatchInlineSnapshot(`
    "## About point-read

    \`npm run bench -- point-read\`. Little.

    |               | a second         | to postgres.js            | µs of CPU     | how              |
    | ------------- | ---------------- | ------------------------- | ------------- | ---------------- |
    | postgres.js   | 200 (100 to 400) | 1.00 x (1.00 x to 1.00 x) | 50 (50 to 50) | as postgres.js   |
    | Rivulet <own> | 300 (300 to 300) | 1.50 x (0.75 x to 3.00 x) | 75 (75 to 75) | as Rivulet <own> |

    |      | wanted      | found  |     |
    | ---- | ----------- | ------ | --- |
    | rate | 1 x or more | 1.50 x | yes |"
  `)
})

test('what has moved by more than a tenth is told, the worst first, and what is no longer reached', async () => {
  const base = baseOf('a place', [await finding('one', 50), await finding('two', 50), await finding('three', 50)])
  const slower = [await finding('one', 60), await finding('two', 54), await finding('three', 100, { is: 0.5 })]
  expect(describeChanges(base, slower)).toMatchInlineSnapshot(`
    "Against a place, CPU time as a multiple of the yardstick's:
      +100 %  three: Rivulet <own>: 1.00 x then, 2.00 x now
      +20 %  one: Rivulet <own>: 1.00 x then, 1.20 x now
      no longer reached  three: rate"
  `)
  expect(describeChanges(base, [await finding('one', 52)])).toContain('nothing has moved')
})

test('the page and the picture have all of it', async () => {
  const findings = [await finding('point-read', 60), await finding('product-page', 60)]
  expect(page('a place', findings)).toContain('## About product-page')
  const picture = chart(findings)
  expect(picture.match(/<rect class="own"/g)).toHaveLength(2)
  expect(picture).toContain('Rivulet &lt;own>')
})

test('benchmarks and their contenders have names of their own', () => {
  const names = benchmarks.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  for (const { contenders = [] } of benchmarks) {
    expect(new Set(contenders.map(({ name }) => name)).size).toBe(contenders.length)
  }
})
