/** `contender-process.js BENCHMARK CONTENDER URL`: one contender, which does its work when the parent says so. */
import { benchmarks } from './benchmarks/index.ts'
import type { Asked, Answered } from './race.ts'
import { runRound } from './measure.ts'

const [, , benchmark, name, url = ''] = process.argv
const contender = benchmarks.find((each) => each.name === benchmark)?.contenders?.find((each) => each.name === name)
if (!contender) throw new Error(`${benchmark} has no contender ${name}`)
const work = await contender.open(url)

process.on('message', (asked: Asked) => {
  void answerTo(asked).then((answered) => process.send?.(answered))
})
process.send?.({ ready: true } satisfies Answered)

async function answerTo(asked: Asked): Promise<Answered> {
  try {
    if ('round' in asked) return { round: await runRound((index) => work.run(index), asked.round) }
    return { value: await work.run(asked.index) }
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}
