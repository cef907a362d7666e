/**
 * The sandbox held against a real engine: random programs of sessions, transactions and failures, some of them caught, end
 * in the same errors and the same rows on both. And what is cut short in a sandbox never cuts short anything else.
 */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import { DeadlineExceeded, RivuletError } from '../../src/errors.ts'
import type { Session } from '../../src/repository/session.ts'
import { openSandbox } from '../../src/testing/sandbox.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'
import { createRandom, type Random } from '../support/random.ts'

const items = pgTable('items', { name: text().primaryKey(), parent: text(), size: integer().notNull() })
const schema = { items }
const template = scriptTemplate(
  'items',
  `create table items (name text primary key, size int not null check (size > 0),
   parent text references items deferrable initially deferred)`,
)

let database: TestDatabase
beforeAll(async () => (database = await openTestDatabase(template)))
afterAll(() => database[Symbol.asyncDispose]())

interface Simple {
  readonly do: 'fail' | 'throw' | 'read' | 'set'
}

type Step =
  | { readonly do: 'insert'; readonly name: string; readonly size: number; readonly parent: string | undefined }
  | Simple
  | {
      readonly do: 'transaction'
      readonly steps: readonly Step[]
      readonly caught: boolean
      readonly readOnly: boolean
    }

function programOf(random: Random, depth = 0): Step[] {
  return Array.from({ length: random.between(1, 4) }, (): Step => {
    const kind = random.between(0, depth < 3 ? 13 : 9)
    if (kind <= 5) {
      const name = random.pick(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
      const parent = random.between(0, 4) === 0 ? random.pick(['a', 'b', 'z']) : undefined
      return { do: 'insert', name, size: random.between(0, 9), parent }
    }
    if (kind <= 9) return { do: random.pick(['fail', 'throw', 'read', 'set'] as const) }
    const readOnly = depth === 0 && random.between(0, 5) === 0
    return { do: 'transaction', steps: programOf(random, depth + 1), caught: random.between(0, 1) === 0, readOnly }
  })
}

class Thrown extends Error {}

const nameOf = (error: unknown) => (error instanceof RivuletError ? error.code : (error as Error).constructor.name)

/** Runs the steps in a session; every other failure is caught, and written down. */
async function runSteps(session: Session<typeof schema>, steps: readonly Step[], log: string[]): Promise<void> {
  for (const step of steps) {
    const work = runStep(session, step, log)
    if (step.do === 'throw' || (step.do === 'transaction' && !step.caught)) await work
    else await work.catch((error: unknown) => log.push(`${step.do}: ${nameOf(error)}`))
  }
}

async function runStep(session: Session<typeof schema>, step: Step, log: string[]): Promise<unknown> {
  if (step.do === 'throw') throw new Thrown()
  if (step.do === 'fail') return session.sql`select 1 / 0`
  if (step.do === 'read') return log.push(`${await session.repository(items).count()} rows`)
  if (step.do === 'set') {
    await session.sql`set local work_mem = '7MB'`
    return log.push(String((await session.sql<{ work_mem: string }>`show work_mem`)[0]?.work_mem))
  }
  if (step.do === 'transaction') {
    const options = step.readOnly ? { readOnly: true } : {}
    return session.transaction((inner) => runSteps(inner, step.steps, log), options)
  }
  if (!('name' in step)) throw new Error('there is no such step')
  const { name, size, parent } = step
  return session.repository(items).insert({ name, size, parent: parent ?? null })
}

async function outcomeOf(engine: Engine<typeof schema>, program: readonly (readonly Step[])[]): Promise<string[]> {
  const log: string[] = []
  for (const steps of program) {
    await engine
      .session((session) => runSteps(session, steps, log))
      .catch((error: unknown) => log.push(`session: ${nameOf(error)}`))
  }
  const rows = await engine.session(({ db }) => db.select().from(items).orderBy(items.name))
  return [...log, ...rows.map((row) => JSON.stringify(row))]
}

test('random programs end as they do on a real engine', { timeout: 120_000 }, async () => {
  const random = createRandom('sandbox conformance')
  await using engine = await openEngine({ schema, url: database.url, pool: { max: 1 } })
  await using sandbox = await openSandbox({ schema, url: database.url })
  for (let round = 0; round < 60; round += 1) {
    const program = [programOf(random), programOf(random), programOf(random)]
    const expected = await outcomeOf(engine, program)
    await engine.session(({ sql }) => sql`delete from items`)
    expect({ program, outcome: await outcomeOf(sandbox.engine, program) }).toEqual({ program, outcome: expected })
    await sandbox.rollback()
  }
})

test('what runs out of time never cuts short what runs beside it', { timeout: 120_000 }, async () => {
  const random = createRandom('sandbox deadlines')
  await using sandbox = await openSandbox({ schema, url: database.url, pool: { acquireTimeoutMs: 60_000 } })
  const { engine } = sandbox
  const outcomes: unknown[] = []
  const cutShort = async (n: number) => {
    const timeoutMs = random.between(1, 30)
    const ms = random.between(0, 20)
    const work = engine.transaction(
      async ({ sql, repository }) => {
        await repository(items).insert({ name: `late ${n}`, size: 1 })
        await sql`select pg_sleep(${ms / 1000})`
        throw new Thrown()
      },
      { timeoutMs },
    )
    outcomes.push(await work.catch((error: unknown) => error))
  }
  const whole = async (n: number) => {
    await engine.transaction(async (session) => {
      await session.repository(items).insert({ name: `kept ${n}`, size: 1 })
      await session.sql`select pg_sleep(0.002)`
      await session.transaction((inner) => inner.repository(items).insert({ name: `inner ${n}`, size: 1 }))
    })
  }
  for (let round = 0; round < 15; round += 1) {
    await Promise.all([0, 1, 2, 3].flatMap((n) => [cutShort(round * 4 + n), whole(round * 4 + n)]))
  }
  expect(outcomes.filter((error) => !(error instanceof DeadlineExceeded || error instanceof Thrown))).toEqual([])
  const names = await engine.session(({ db }) => db.select({ name: items.name }).from(items))
  expect(names.filter(({ name }) => name.startsWith('late'))).toEqual([])
  expect(names).toHaveLength(120)
})
