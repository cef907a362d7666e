import { type Benchmark, median } from '../benchmark.ts'
import { openBenchEngine, openPostgres } from '../clients.ts'
import { wide } from '../schema.ts'

/** All rows of the table, one by one. */
export const stream: Benchmark = {
  name: 'stream',
  title: 'A stream of 1,000,000 rows of 12 columns',
  limits: 'The rows are read and dropped: what a program does with them comes on top.',
  run: async ({ url }) => {
    await using engine = await openBenchEngine(url)
    await using raw = openPostgres(url)
    const peak = { mb: 0 }
    const read = async () => {
      let rows = 0
      await engine.session(async ({ repository }) => {
        for await (const row of repository(wide).stream()) {
          rows += row.id > 0 ? 1 : 0
          if (rows % 100_000 === 0) peak.mb = Math.max(peak.mb, usedMb())
        }
      })
      return rows
    }
    const readRaw = async () => {
      let rows = 0
      for await (const batch of raw.sql`select * from bench_rows`.cursor(1000)) rows += batch.length
      return rows
    }
    const startMb = usedMb()
    const ratios: number[] = []
    for (let round = 0; round < 3; round += 1) {
      const took: number[] = []
      for (const way of round % 2 === 0 ? [read, readRaw] : [readRaw, read]) {
        const startedAt = performance.now()
        await way()
        took[way === read ? 0 : 1] = performance.now() - startedAt
      }
      const [own, other] = took as [number, number]
      ratios.push(other / own)
    }
    return {
      races: [],
      goals: [
        { what: 'rate to a cursor of postgres.js', is: median(ratios), least: 0.8, unit: 'x' },
        { what: 'memory above the start', is: peak.mb - startMb, most: 64, unit: 'MB' },
      ],
    }
  },
}

/** Of the heap and beside it, without garbage; the process keeps more from the system than it uses. */
function usedMb(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 1_048_576
}
