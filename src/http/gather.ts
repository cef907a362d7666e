/**
 * `POST /gather`: several reads in one request, each a task in a session of its own, at the same time, with a status for
 * each. What a read answers is, byte for byte, what GET answers at its path.
 */
import type { Hono } from 'hono'
import type { TaskTiming } from '../observe/observation.ts'
import { type Session, taskSessionOf } from '../repository/session.ts'
import { TableRepository } from '../repository/table-repository.ts'
import { AnswerBudget } from '../resource/answer-budget.ts'
import { type PlannedResource, seenBy } from '../resource/resource.ts'
import { planRead, readGather, type ResourceUrl } from '../resource/resource-read.ts'
import { requestEngine } from './access.ts'
import { answerTag } from './etag.ts'
import { type Environment, goneAway, taskOptions } from './front.ts'
import { readBody } from './input.ts'
import { encodeJson } from '../answer/json.ts'
import { explainRead, type ResourceRoutesOptions } from './resource-routes.ts'
import { serverTiming } from '../answer/server-timing.ts'

/** Adds `POST /gather`, of at most `most` reads. */
export function addGather(
  app: Hono<Environment>,
  resources: readonly PlannedResource[],
  most: number,
  { engine, maxBodyBytes, maxRows }: ResourceRoutesOptions,
): void {
  app.post('/gather', async (context) => {
    const role = (await context.get('identity')?.())?.role
    const seen = resources.map((resource) => seenBy(resource, role))
    const { reads, ...how } = readGather(seen, await readBody(context, maxBodyBytes), most)
    const own = await requestEngine(context, engine)
    const askedAt = performance.now()
    let timings: readonly TaskTiming[] = []
    const onTimings = (all: readonly TaskTiming[]) => (timings = all)
    const budget = new AnswerBudget(maxRows)
    const tasks = Object.fromEntries([...reads].map(([name, url]) => [name, taskOf(url, budget)]))
    const settled = await own.gatherSettled(tasks, taskOptions(context, { ...how, onTimings }))
    // For a client that is gone there is nothing to put together.
    const gone = goneAway(context)
    if (gone) throw gone
    const members = Object.entries(settled).map(async ([name, result]) => {
      if (result.status === 'rejected') {
        const problem = context.get('failed')(result.reason)
        return `${JSON.stringify(name)}:{"status":${problem.status},"body":${await problem.text()}}`
      }
      const body = encodeJson(result.value.body)
      const etag = JSON.stringify(answerTag(body, result.value.version))
      return `${JSON.stringify(name)}:{"status":200,"etag":${etag},"body":${body}}`
    })
    const body = `{${(await Promise.all(members)).join()}}`
    context.header('server-timing', serverTiming(timings, performance.now() - askedAt))
    return context.body(body, 200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  })
}

function taskOf(url: ResourceUrl, budget: AnswerBudget) {
  return async (session: Session) => {
    const repository = new TableRepository(taskSessionOf(session), url.resource.plan, budget)
    return planRead(url)(repository).catch(explainRead)
  }
}
