/**
 * What every public function says to a caller who gives it something that cannot be meant: an option that is misspelt, a
 * value of the wrong type, nothing at all. The functions are those of the API reports. The methods of engines and sessions
 * need a server: `test/integration/mistakes-of-tasks.test.ts`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { pgTable, serial, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { ConfigInvalid, InvalidInput, UsageError } from '../../src/errors.ts'
import * as http from '../../src/http/index.ts'
import * as main from '../../src/index.ts'
import * as jwt from '../../src/jwt/index.ts'
import * as migrate from '../../src/migrate/index.ts'
import * as opentelemetry from '../../src/opentelemetry/index.ts'
import { optionNames } from '../../src/option-names.ts'
import * as prometheus from '../../src/prometheus/index.ts'
import * as testing from '../../src/testing/index.ts'

const authors = pgTable('authors', { id: serial().primaryKey(), name: text() })
const schema = { authors }
const url = 'postgres://nobody@127.0.0.1:1/none'
const folder = 'none'
const task = () => 1
const app = { fetch: () => new Response() }
const token = { secret: 'x'.repeat(64), audience: 'a', issuer: 'i', roles: ['r'], identityOf: () => undefined }
const base = test

const functions: Readonly<Record<string, (...given: never[]) => unknown>> = Object.fromEntries(
  [main, http, jwt, migrate, opentelemetry, prometheus, testing].flatMap((entry) =>
    Object.entries(entry).filter(([name, value]) => typeof value === 'function' && /^[a-z]/.test(name)),
  ),
) as never

async function thrownBy(name: string, given: readonly unknown[]): Promise<unknown> {
  try {
    const value = await functions[name]?.(...(given as never[]))
    return { returned: value }
  } catch (error) {
    return error
  }
}

/** Arguments with an option `misspelt`, and where it is said to be. */
const misspelt: Readonly<Record<string, readonly (readonly [where: string, ...given: unknown[]])[]>> = {
  openEngine: [
    ['config', { schema, misspelt: 1 }],
    ['pool', { schema, pool: { misspelt: 1 } }],
    ['config.log', { schema, log: { misspelt: 1 } }],
    ['config.migrationsLedger', { schema, migrationsLedger: { misspelt: 1 } }],
  ],
  openSandbox: [['config', { schema, misspelt: 1 }]],
  optional: [['optional', task, 1, { misspelt: 1 }]],
  withIdentity: [['an identity', { role: 'r', misspelt: 1 }, task]],
  defineRepository: [['defineRepository', authors, () => ({}), { misspelt: 1 }]],
  conventions: [['conventions', pgTable('other', { id: serial() }), { misspelt: 'id' }]],
  removeIdempotencyKeys: [['removeIdempotencyKeys', { sql: task }, { misspelt: 1 }]],
  createApp: [
    ['createApp', {}, { misspelt: 1 }],
    ['createApp.health', {}, { health: { misspelt: 1 } }],
    ['createApp.openApi', {}, { openApi: { misspelt: 1 } }],
    ['createApp.idempotency', {}, { idempotency: { misspelt: 1 } }],
  ],
  resource: [
    ['resource', authors, { misspelt: 1 }],
    ['resource.roles.reader', authors, { roles: { reader: { misspelt: 1 } } }],
  ],
  clientAddress: [['clientAddress', {}, { misspelt: 1 }]],
  jsonResponse: [['jsonResponse', {}, { misspelt: 1 }]],
  openHttpServer: [['openHttpServer', app, { port: 0, misspelt: 1 }]],
  jwtIdentity: [
    ['jwtIdentity', { ...token, misspelt: 1 }],
    ['an identity', { ...token, anonymous: { role: 'r', misspelt: 1 } }],
  ],
  openTelemetry: [['openTelemetry', { misspelt: 1 }]],
  createPrometheus: [['createPrometheus', { misspelt: 1 }]],
  applyMigrations: [
    ['applyMigrations', url, { folder, misspelt: 1 }],
    ['applyMigrations.ledger', url, { folder, ledger: { misspelt: 1 } }],
  ],
  planMigrations: [['planMigrations', url, { folder, misspelt: 1 }]],
  baselineMigrations: [['baselineMigrations', url, { folder, to: '0', misspelt: 1 }]],
  checkMigrations: [['checkMigrations', url, { folder, misspelt: 1 }]],
  emptyDatabase: [['emptyDatabase', url, { misspelt: 1 }]],
  examineDatabase: [
    ['examineDatabase', url, { misspelt: 1 }],
    ['examineDatabase.limits', url, { limits: { misspelt: 1 } }],
    ['one of ignore', url, { ignore: [{ rule: 'dead-rows', reason: 'r', misspelt: 1 }] }],
  ],
  migrationStatus: [['migrationStatus', url, { folder, misspelt: 1 }]],
  planRevert: [['planRevert', url, { folder, misspelt: 1 }]],
  revertMigrations: [['revertMigrations', url, [], { folder, misspelt: 1 }]],
  tryMigrations: [['tryMigrations', url, { folder, misspelt: 1 }]],
  verifyCode: [
    ['verifyCode', url, { folder, code: { whole: '' }, misspelt: 1 }],
    ['verifyCode.code', url, { folder, code: { whole: '', misspelt: 1 } }],
  ],
  verifyDatabase: [['verifyDatabase', url, { folder, misspelt: 1 }]],
  lint: [['a file of lint', [{ file: 'a.sql', text: '', misspelt: 1 }]]],
  openTestDatabase: [
    ['openTestDatabase', { migrations: folder, misspelt: 1 }],
    ['openTestDatabase.seed', { migrations: folder, schema, seed: { run: task, files: [], misspelt: 1 } }],
    ['openTestDatabase.engine', { migrations: folder, engine: { misspelt: 1 } }],
    ['openTestDatabase.migrationsLedger', { migrations: folder, migrationsLedger: { misspelt: 1 } }],
  ],
  withTestDatabase: [
    ['withTestDatabase', base, { migrations: folder, schema, misspelt: 1 }],
    ['withTestDatabase.engine', base, { migrations: folder, schema, engine: { misspelt: 1 } }],
  ],
}

/** What has no options. */
const withoutOptions = [
  'createIdempotencyTable',
  'defineFactory',
  'defineQuery',
  'encodeJson',
  'expectPlan',
  'idempotent',
  'integerKey',
  'jsonBody',
  'problemOf',
  'problemResponse',
  'requestEngine',
  'serverTiming',
  'taskOptions',
]

test('every public function is among those that are tried here', () => {
  const reports = new URL('../api/', import.meta.url)
  const texts = readdirSync(reports).map((name) => readFileSync(new URL(name, reports), 'utf8'))
  const names = texts.flatMap((text) => Array.from(text.matchAll(/^export function (\w+)/gm), ([, name]) => name))
  expect(names.length).toBeGreaterThan(30)
  expect([...Object.keys(misspelt), ...withoutOptions].toSorted()).toEqual(names.toSorted())
})

const settings = new Set(['openEngine', 'openSandbox', 'jwtIdentity', 'openTelemetry', 'createPrometheus'])

const misspeltCalls = Object.entries(misspelt).flatMap(([name, calls]) =>
  calls.map(([where, ...given]) => [name, where, given] as const),
)

test.each(misspeltCalls)('%s says which option is misspelt, and which there are: %s', async (name, where, given) => {
  const error = await thrownBy(name, given)
  const unknown = [`${where} has no option misspelt; it takes `, `unknown setting ${where}.misspelt; known are `]
  expect(error).toBeInstanceOf(settings.has(name) && where !== 'an identity' ? ConfigInvalid : UsageError)
  const { message } = error as Error
  expect(unknown.some((begin) => message.startsWith(begin) && message.length > begin.length + 3)).toBe(true)
})

/** These take anything, or nothing. */
const takesAnything = new Set(['encodeJson', 'jsonResponse', 'problemOf'])

/** No file at all is fine, and so are no options where there are defaults. */
const isFine = (name: string, given: unknown) =>
  (name === 'lint' && Array.isArray(given)) ||
  (['openTelemetry', 'createPrometheus'].includes(name) && (given === undefined || JSON.stringify(given) === '{}'))

const nonsense: readonly unknown[] = [undefined, null, 7, true, [], {}]

describe('nothing, null, a number, a list or an empty object is refused in our own words', () => {
  const tried = Object.keys(functions).filter((name) => !takesAnything.has(name))
  test.each(tried)('by %s', async (name) => {
    for (const given of nonsense.filter((each) => !isFine(name, each))) {
      const error = await thrownBy(name, given === undefined ? [] : [given])
      expect(error).toSatisfy(
        (thrown) => thrown instanceof UsageError || thrown instanceof ConfigInvalid,
        `${name}(${JSON.stringify(given)}): ${String(error)}`,
      )
    }
  })

  test.each(Object.entries(misspelt))('by %s for its options', async (name, calls) => {
    for (const [, ...given] of calls) {
      for (const wrong of [null, 7, 'x', []].filter((each) => !isFine(name, each))) {
        const error = await thrownBy(name, [...given.slice(0, -1), wrong])
        expect(error).toSatisfy(
          (thrown) => thrown instanceof UsageError || thrown instanceof ConfigInvalid,
          `${name}(…, ${JSON.stringify(wrong)}): ${String(error)}`,
        )
      }
    }
  })
})

const badValues: readonly (readonly [name: string, message: RegExp, ...given: unknown[]])[] = [
  ['openEngine', /^config\.log\.slowMs must be a number of at least 0/, { schema, log: { slowMs: '1' } }],
  ['openEngine', /^config\.traceSessions must be true or false/, { schema, traceSessions: 'yes' }],
  ['openEngine', /^config\.migrationsFolder must be a text/, { schema, migrations: 'apply', migrationsFolder: 7 }],
  ['openEngine', /^config\.repeatedStatements must be a number of at least 0/, { schema, repeatedStatements: '1' }],
  ['openEngine', /^config\.idleSessionMs must be a number of at least 0/, { schema, idleSessionMs: '1' }],
  ['openEngine', /^config\.telemetry must be what openTelemetry\(\)/, { schema, telemetry: { traces: true } }],
  ['openTelemetry', /^openTelemetry\.traces must be true or false/, { traces: 'no' }],
  ['createPrometheus', /^createPrometheus\.poolName must be a text/, { poolName: 1 }],
  ['openTelemetry', /^openTelemetry\.meterProvider must have getMeter\(\)/, { meterProvider: {} }],
  ['openEngine', /^config\.slowStatementMs must be a number of at least 0/, { schema, slowStatementMs: -1 }],
  ['expectPlan', /takes a session and a query/, {}],
  ['resource', /^resource: readOnly must be true or false/, authors, { readOnly: 'yes' }],
  ['resource', /^resource: hidden must be a list/, authors, { hidden: 'name' }],
  ['resource', /roles\.reader: readOnly must be true or false/, authors, { roles: { reader: { readOnly: 'no' } } }],
  ['resource', /maxLimit must be a whole number from 1 to 10000/, authors, { maxLimit: 0 }],
  ['createApp', /resources must be a list/, {}, { resources: {} }],
  ['createApp', /resource\(table\)/, {}, { resources: [authors] }],
  ['createApp', /each of resources must be what resource\(table\) returns/, {}, { resources: [undefined] }],
  ['createApp', /identity must be a function/, {}, { identity: { role: 'staff' } }],
  ['createApp', /health: draining must be an AbortSignal/, {}, { health: { draining: true } }],
  ['createApp', /this takes an engine/, undefined],
  ['openHttpServer', /port must be/, app, {}],
  ['openHttpServer', /port must be/, app, { port: -1 }],
  ['openHttpServer', /port must be/, app, { port: 65_536 }],
  ['openHttpServer', /insecure must be true or false/, app, { port: 0, insecure: 'no' }],
  ['openHttpServer', /takes an application/, undefined, { port: 0 }],
  ['applyMigrations', /outOfOrder must be true or false/, url, { folder, outOfOrder: 'no' }],
  ['applyMigrations', /needs the folder/, url, {}],
  ['baselineMigrations', /needs `to`/, url, { folder }],
  ['revertMigrations', /the names that planRevert returned/, url, 'all', { folder }],
  ['examineDatabase', /has no rule nonsense; it has foreign-key-without-index, /, url, { rules: ['nonsense'] }],
  ['examineDatabase', /has no rule nonsense/, url, { ignore: [{ rule: 'nonsense', reason: 'r' }] }],
  ['examineDatabase', /ignoring dead-rows needs a reason/, url, { ignore: [{ rule: 'dead-rows', reason: ' ' }] }],
  [
    'examineDatabase',
    /the limit sequencePercent must be a number from 0 to 100/,
    url,
    { limits: { sequencePercent: 101 } },
  ],
  ['examineDatabase', /timeoutMs must be a whole number/, url, { timeoutMs: 0 }],
  ['lint', /takes a list/, null],
  ['lint', /\{ file, text \}/, [{ file: 'a.sql' }]],
  ['openSandbox', /^openSandbox takes a config/],
  ['openTestDatabase', /^migrations must be the folder/, {}],
  ['withTestDatabase', /needs the schema/, base, { migrations: folder }],
  ['defineFactory', /takes a table and a function/, {}, task],
]

const badCalls = badValues.map(([name, message, ...given]) => [name, message, given] as const)

test.each(badCalls)('%s says what is wrong: %s', async (name, message, given) => {
  const error = await thrownBy(name, given)
  expect(error).toBeInstanceOf(settings.has(name) ? ConfigInvalid : UsageError)
  expect((error as Error).message).toMatch(message)
})

test('the compiler keeps the lists, and a boolean or a function to its kind', () => {
  type Options = { readonly write: boolean; readonly told: () => void; readonly other?: number }
  const names = optionNames<Options>({ write: 'boolean', told: 'function', other: 'number' })
  expect([...names.keys()]).toEqual(['write', 'told', 'other'])
  // @ts-expect-error A boolean is checked to be one.
  optionNames<Options>({ write: true, told: 'function', other: true })
  // @ts-expect-error One is missing.
  optionNames<Options>({ write: 'boolean', told: 'function' })
  // @ts-expect-error There is none of this name.
  optionNames<Options>({ write: 'boolean', told: 'function', other: true, more: true })
})

test('a problem takes no option that it does not have', () => {
  const make = (options: unknown) => new http.Problem(options as http.ProblemOptions)
  expect(() => make({ stauts: 400, code: 'x' })).toThrow('Problem has no option stauts; it takes status, code')
  for (const given of [undefined, null, 7]) expect(() => make(given)).toThrow(UsageError)
})

test('the close of a server takes no option that it does not have', async () => {
  await using server = await http.openHttpServer(app, { port: 0 })
  await expect(server.close({ timeout: 1 } as never)).rejects.toThrow('close has no option timeout')
  await expect(server.close({ timeoutMs: -1 })).rejects.toThrow(UsageError)
})

describe('a factory', () => {
  test.each([5, null, [], Promise.resolve({})])('refuses a function that returns %s', (row) => {
    const factory = testing.defineFactory(authors, () => row as never)
    expect(() => factory.build()).toThrow('the function of the factory of authors must return a row')
  })

  test('refuses values that are none, and a seed that is no whole number', () => {
    const factory = testing.defineFactory(authors, () => ({ name: 'a' }))
    expect(() => factory.build(5 as never)).toThrow('must be an object')
    expect(() => factory.seeded(0.5)).toThrow(InvalidInput)
  })
})
