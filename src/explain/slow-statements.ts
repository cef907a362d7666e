/**
 * Tells of slow statements, with their plans. It hears of them as any observer does, and asks for the plan later, on a
 * connection that no task has: without the values, so that it holds none, and without running anything.
 *
 * It stays small: each shape of a statement once a minute, one plan at a time, none while calls wait for a connection, and
 * with time limits on the server.
 */
import { hash } from 'node:crypto'
import { UsageError } from '../errors.ts'
import type { Observation, Observer } from '../observe/observation.ts'
import type { Observers } from '../observe/observers.ts'
import type { Connection } from '../pool/connection.ts'
import type { Pool } from '../pool/pool.ts'
import { Scope } from '../task/scope.ts'
import type { QueryPlan } from '../plan/query-plan.ts'
import { type AskRows, explainGeneric, isExplainable } from './explain-statement.ts'

/** Milliseconds until a shape is told of again. */
const againMs = 60_000
/** Shapes that are remembered; the oldest go first. */
const mostShapes = 1000
/** Statements that wait to be explained; more are told of without a plan. */
const mostWaiting = 10
/** Milliseconds to wait for a connection. */
const waitMs = 1000

type Finished = Extract<Observation, { type: 'statement.finished' }>

/** Observes statements, and publishes those that took `slowStatementMs` or longer. */
export function slowStatements(slowStatementMs: number, pool: () => Pool | undefined, observers: Observers): Observer {
  const told = new Map<string, number>()
  const waiting: Finished[] = []
  let explaining = false

  const tell = ({ label, backendPid, text, durationMs, error }: Finished, plan: QueryPlan | undefined) =>
    observers.publish?.({ type: 'statement.slow', label, backendPid, text, durationMs, error, plan })

  const explainAll = async (asked: Pool) => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { text } = next
      // Without a plan it is worth telling, too; why there is none is the server's business, or that there was no time.
      const plan = await explainOn(asked, text).catch(() => undefined)
      tell(next, plan)
    }
    explaining = false
  }

  return (observation) => {
    if (observation.type !== 'statement.finished' || observation.durationMs < slowStatementMs) return
    const { text } = observation
    const now = performance.now()
    // Not the text itself: a thousand of them may be a thousand times as long as is worth keeping.
    const shape = hash('sha1', text, 'base64')
    if (now - (told.get(shape) ?? -Infinity) < againMs) return
    told.delete(shape)
    told.set(shape, now)
    const [oldest] = told.keys()
    if (told.size > mostShapes && oldest !== undefined) told.delete(oldest)
    const asked = pool()
    // What is explained now may itself wait for its connection: it is no call that would come first.
    const comesLast = asked === undefined || (!explaining && isBusy(asked))
    if (comesLast || waiting.length >= mostWaiting || !isExplainable(text)) return void tell(observation, undefined)
    waiting.push(observation)
    if (explaining) return
    explaining = true
    // Not in the course of the task that has just been answered.
    setImmediate(() => void explainAll(asked))
  }
}

/** True while calls wait for a connection: they come first. */
function isBusy(pool: Pool): boolean {
  return pool.stats().waiting > 0
}

const cancelled = () => new UsageError('no connection was free to explain a slow statement')

async function explainOn(pool: Pool, text: string): Promise<QueryPlan | undefined> {
  if (isBusy(pool)) return undefined
  const scope = new Scope({ timeoutMs: waitMs })
  const connection = await pool.acquire({ label: 'slow statement', scope, cancelled }).finally(() => scope.close())
  if (isBusy(pool)) {
    pool.release(connection)
    return undefined
  }
  try {
    const plan = await planOn(connection, text)
    pool.release(connection)
    return plan
  } catch (error) {
    // What it left there is not known.
    pool.release(connection, 'unhealthy')
    throw error
  }
}

async function planOn(connection: Connection, text: string): Promise<QueryPlan> {
  const ask: AskRows = (question, parameters) => connection.query(question, parameters, { arrays: true })
  // Planning waits for tables that are being altered; it must not wait long.
  await connection.script('begin read only; set local lock_timeout = 100; set local statement_timeout = 2000')
  const { plan } = await explainGeneric(ask, text)
  await connection.script('rollback')
  return plan
}
