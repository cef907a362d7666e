/**
 * The sandbox held against a real engine: random programs of sessions, transactions and failures, some of them caught, end
 * in the same errors and the same rows on both. And what is cut short in a sandbox never cuts short anything else.
 */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import { DeadlineExceeded, ForeignKeyViolation, RivuletError, UsageError } from '../../src/errors.ts'
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
  readonly do: 'fail' | 'throw' | 'read' | 'elsewhere'
}

/** How a setting is set: for the transaction, or for the session. */
const hows = [
  'set local',
  'set_config',
  'set_config by parameter',
  'set_config for the session',
  'set',
  'reset',
] as const

type Step =
  | { readonly do: 'insert'; readonly name: string; readonly size: number; readonly parent: string | undefined }
  | Simple
  | { readonly do: 'set'; readonly value: string; readonly how: (typeof hows)[number] }
  | {
      readonly do: 'transaction'
      readonly steps: readonly Step[]
      readonly caught: boolean
      readonly readOnly: boolean
    }

function programOf(random: Random, depth = 0): Step[] {
  return Array.from({ length: random.between(1, 4) }, (): Step => {
    const kind = random.between(0, depth < 3 ? 16 : 12)
    if (kind <= 5) {
      const name = random.pick(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
      const parent = random.between(0, 4) === 0 ? random.pick(['a', 'b', 'z']) : undefined
      return { do: 'insert', name, size: random.between(0, 9), parent }
    }
    if (kind <= 9) return { do: random.pick(['fail', 'throw', 'read', 'elsewhere'] as const) }
    if (kind <= 12) return { do: 'set', value: random.pick(['small', 'medium', 'large']), how: random.pick(hows) }
    const readOnly = depth === 0 && random.between(0, 5) === 0
    return { do: 'transaction', steps: programOf(random, depth + 1), caught: random.between(0, 1) === 0, readOnly }
  })
}

class Thrown extends Error {}

/** Where steps run. */
interface Run {
  readonly engine: Engine<typeof schema>
  readonly session: Session<typeof schema>
  readonly log: string[]
}

const nameOf = (error: unknown) => (error instanceof RivuletError ? error.code : (error as Error).constructor.name)

/** Runs the steps in a session; every other failure is caught, and written down. */
async function runSteps({ engine, session, log }: Run, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    const work = runStep({ engine, session, log }, step)
    if (step.do === 'throw' || (step.do === 'transaction' && !step.caught)) await work
    else await work.catch((error: unknown) => log.push(`${step.do}: ${nameOf(error)}`))
  }
}

async function runStep({ engine, session, log }: Run, step: Step): Promise<unknown> {
  if (step.do === 'throw') throw new Thrown()
  if (step.do === 'fail') return session.sql`select 1 / 0`
  if (step.do === 'read') {
    return log.push(`${await session.repository(items).count()} rows, ${await settingOf(session)}`)
  }
  if (step.do === 'elsewhere') return elsewhere(engine)
  if (step.do === 'set') return set(session, step)
  if (step.do === 'transaction') {
    const options = step.readOnly ? { readOnly: true } : {}
    return session.transaction((inner) => runSteps({ engine, session: inner, log }, step.steps), options)
  }
  if (!('name' in step)) throw new Error('there is no such step')
  const { name, size, parent } = step
  return session.repository(items).insert({ name, size, parent: parent ?? null })
}

type Setting = Extract<Step, { readonly do: 'set' }>

async function set({ sql }: Pick<Session, 'sql'>, { how, value }: Setting): Promise<unknown> {
  if (how === 'set local') return sql`set local app.size = 'local'`
  if (how === 'set') return sql`set app.size = 'session'`
  if (how === 'reset') return sql`reset app.size`
  if (how === 'set_config') return sql`select set_config('app.size', ${value}, true)`
  return sql`select set_config('app.size', ${value}, ${how === 'set_config by parameter'})`
}

async function settingOf({ sql }: Pick<Session, 'sql'>): Promise<string> {
  const [row] = await sql<{ size: string | null }>`select current_setting('app.size', true) as size`
  return row?.size || 'not set'
}

/** Another session in the course of this one. In a sandbox it is refused where a transaction of this one could not commit. */
async function elsewhere(engine: Engine<typeof schema>): Promise<void> {
  try {
    expect(await engine.session(settingOf)).toBe('not set')
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof ForeignKeyViolation)) throw error
  }
}

async function outcomeOf(engine: Engine<typeof schema>, program: readonly (readonly Step[])[]): Promise<string[]> {
  const log: string[] = []
  for (const steps of program) {
    await engine
      .session((session) => runSteps({ engine, session, log }, steps))
      .catch((error: unknown) => log.push(`session: ${nameOf(error)}`))
  }
  const rows = await engine.session(({ db }) => db.select().from(items).orderBy(items.name))
  return [...log, ...rows.map((row) => JSON.stringify(row))]
}

test('random programs end as they do on a real engine', { timeout: 120_000 }, async () => {
  const random = createRandom('sandbox conformance')
  await using engine = await openEngine({ schema, url: database.url, pool: { max: 2 } })
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
