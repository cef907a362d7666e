/**
 * The schema of the fault and engine tests: accounts with money that only moves, and a list of entries that says which
 * writes were acknowledged. It shares no table with the shop. `openBank` gives a database, its admin and, on demand,
 * engines and a fault proxy, and closes all of it.
 */
import { once } from 'node:events'
import { bigint, integer, pgTable, text } from 'drizzle-orm/pg-core'
import type { Config } from '../../src/config.ts'
import { type Engine, openEngine } from '../../src/engine.ts'
import type { Session } from '../../src/repository/session.ts'
import type { Observation } from '../../src/observe/observation.ts'
import type { Schema } from '../../src/drizzle/driver.ts'
import { Admin } from './admin.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from './database.ts'
import { type FaultProxy, openFaultProxy } from './fault-proxy.ts'

export const accounts = pgTable('accounts', {
  id: integer('id').primaryKey(),
  owner: text('owner').notNull(),
  balance: bigint('balance', { mode: 'number' }).notNull(),
})

const entries = pgTable('entries', {
  id: integer('id').primaryKey().generatedAlwaysAsIdentity(),
  nonce: text('nonce').notNull(),
  half: integer('half').notNull(),
})

export const bankSchema = { accounts, entries }
export type BankSession = Session<typeof bankSchema>
export type BankEngine = Engine<typeof bankSchema>

/** Accounts 1 to 10 with 100 each. */
const template = scriptTemplate(
  'bank',
  `create table accounts (id int primary key, owner text not null, balance bigint not null check (balance >= 0));
   insert into accounts select n, 'owner ' || n, 100 from generate_series(1, 10) n;
   create table entries (id int generated always as identity primary key, nonce text not null, half int not null,
     unique (nonce, half));
   create table events (id int primary key, at timestamptz not null default now())`,
)

export interface Bank extends AsyncDisposable {
  readonly url: string
  readonly name: string
  readonly admin: Admin
  /** Opens an engine on this database, directly or through `proxy`; closed with the bank. */
  engine(config?: Partial<Omit<Config, 'schema'>> & { readonly proxy?: FaultProxy }): Promise<BankEngine>
  proxy(): Promise<FaultProxy>
}

/** Opens a bank of its own, on the run's server or on `serverUrl`. */
export async function openBank(serverUrl?: string): Promise<Bank> {
  const database: TestDatabase = await openTestDatabase(template, serverUrl)
  const admin = new Admin(database.url)
  const engines: BankEngine[] = []
  const proxies: FaultProxy[] = []
  return {
    url: database.url,
    name: database.name,
    admin,
    async engine({ proxy, ...config } = {}) {
      const engine = await openEngine({ url: proxy?.url ?? database.url, ...config, schema: bankSchema })
      engines.push(engine)
      return engine
    },
    async proxy() {
      const proxy = await openFaultProxy(database.url)
      proxies.push(proxy)
      return proxy
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(engines.map((engine) => engine.close({ timeoutMs: 0 })))
      await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()))
      await admin[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

type Kind = Observation['type']
type Of<TKind extends Kind> = Extract<Observation, { type: TKind }>

/** Keeps the observations of an engine, for `observe`. */
export class Recorder {
  readonly all: Observation[] = []
  readonly observe = (observation: Observation): void => void this.all.push(observation)

  of<TKind extends Kind>(type: TKind): Of<TKind>[] {
    return this.all.filter((observation): observation is Of<TKind> => observation.type === type)
  }
}

/** A promise and what settles it, to hold a task where the test wants it. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const controller = new AbortController()
  const opened = once(controller.signal, 'abort').then(() => undefined)
  return { opened, open: () => controller.abort() }
}

/** Starts sessions that hold a connection each until `count` of them do, and then go on with `then`. */
export function meeting<TSchema extends Schema>(engine: Pick<Engine<TSchema>, 'session'>, count: number) {
  const meet = meetingOf(count)
  return <T>(then: () => T) =>
    engine.session(async () => {
      await meet()
      return then()
    })
}

/** Resolves for everybody who calls it once `count` have. */
export function meetingOf(count: number): () => Promise<unknown> {
  const all = gate()
  let present = 0
  return () => {
    present += 1
    if (present === count) all.open()
    return all.opened
  }
}
