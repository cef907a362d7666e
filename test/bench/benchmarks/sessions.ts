import { type Benchmark, cpuRatio, resultOf, workOf } from '../benchmark.ts'
import { openBenchEngine } from '../clients.ts'

const nothing = () => undefined

/** What sessions and gathers cost by themselves. */
export const emptySessions: Benchmark = {
  name: 'empty-sessions',
  title: 'Sessions and gathers that do nothing',
  limits: 'No statement is sent: it is what stands around one.',
  contenders: [
    {
      name: 'three sessions',
      how: 'Promise.all of three empty sessions',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        const session = () => engine.session(nothing)
        return workOf(engine, () => Promise.all([session(), session(), session()]))
      },
    },
    {
      name: 'gather of three',
      how: 'gather of three empty tasks',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        return workOf(engine, () => engine.gather([nothing, nothing, nothing]))
      },
    },
    {
      name: 'one session',
      how: 'an empty session',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        return workOf(engine, () => engine.session(nothing))
      },
    },
  ],
  run: async ({ race }) => {
    const found = await race({ concurrency: 1, sameValues: false })
    const gathered = cpuRatio(found, 'gather of three', 'three sessions')
    return {
      races: [found],
      goals: [
        { what: 'CPU of a gather to three sessions', is: gathered, most: 1.3, unit: 'x' },
        { what: 'CPU of an empty session', is: resultOf(found, 'one session').cpuUs.median, most: 5, unit: 'us' },
      ],
    }
  },
}

/** What it costs to wait. */
export const waiting: Benchmark = {
  name: 'waiting',
  title: 'A read that waits for a connection, and one that does not; 20 at a time',
  limits: 'The CPU time says what waiting costs; the rate, what fewer connections cost.',
  contenders: [
    { name: 'does not wait', how: '20 connections', open: (url) => openReads(url, 20) },
    { name: 'waits', how: '10 connections: every read waits for the one before it', open: (url) => openReads(url, 10) },
  ],
  run: async ({ race }) => {
    const found = await race({ concurrency: 20 })
    const is = cpuRatio(found, 'waits', 'does not wait')
    return { races: [found], goals: [{ what: 'CPU of one that waits', is, most: 1.05, unit: 'x' }] }
  },
}

async function openReads(url: string, connections: number) {
  const engine = await openBenchEngine(url, connections)
  return workOf(engine, () => engine.session(async ({ sql }) => [...(await sql`select 1 as one`)]))
}

/** What is left behind. */
export const memory: Benchmark = {
  name: 'memory',
  title: 'What stays in memory after a million sessions and a map of 100,000 tasks',
  limits: 'The heap after a collection; what the allocator keeps of the process is not in it.',
  run: async ({ url }) => {
    await using engine = await openBenchEngine(url)
    const sessions = async (count: number) => {
      for (let done = 0; done < count; done += 1000) {
        await Promise.all(Array.from({ length: 1000 }, () => engine.session(nothing)))
      }
    }
    await sessions(100_000)
    const atFirst = heapMb()
    await sessions(1_000_000)
    const afterSessions = heapMb()
    const items = Array.from({ length: 100_000 }, (_, index) => index)
    await engine.map(items, () => Promise.resolve(1), { concurrency: 10 })
    const afterMap = heapMb()
    return {
      races: [],
      goals: [
        { what: 'heap after 1,000,000 sessions', is: afterSessions - atFirst, most: 5, unit: 'MB more' },
        { what: 'heap after a map of 100,000 tasks', is: afterMap - atFirst, most: 5, unit: 'MB more' },
      ],
    }
  },
}

function heapMb(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 1_048_576
}
