/**
 * Random operations on a repository and on a model of its table in memory must give the same answers, whatever the
 * table: the same suite runs over the toy schema and the shop. The order of text is that of the letters a to c, which
 * every collation agrees on.
 */
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as shop from '../../schema/index.ts'
import { openEngine, type Engine } from '../../src/engine.ts'
import type { Source } from '../../src/repository/types/conventions.ts'
import { createRepository } from '../../src/repository/table-repository.ts'
import type { RepositoryRunner } from '../../src/repository/query/repository-runner.ts'
import { type AnySession, taskSessionOf } from '../../src/repository/session.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'
import { holdsAlways, inOrder, type ModelRow, TableModel, type TableRules } from '../support/table-model.ts'
import { openToy, type Toy } from '../support/toy.ts'
import * as toy from '../support/toy-schema.ts'

/** Operations as a program without types sees them. */
interface Untyped {
  insert(row: ModelRow): Promise<ModelRow>
  insertMany(rows: readonly ModelRow[]): Promise<ModelRow[]>
  update(key: unknown, patch: ModelRow, options?: { ifVersion?: unknown }): Promise<ModelRow>
  updateMany(rows: readonly ModelRow[]): Promise<ModelRow[]>
  updateWhere(where: ModelRow, patch: ModelRow): Promise<number>
  upsert(row: ModelRow, options: { on: readonly string[]; update?: readonly string[] }): Promise<ModelRow>
  upsertMany(
    rows: readonly ModelRow[],
    options: { on: readonly string[]; update?: readonly string[] },
  ): Promise<ModelRow[]>
  remove(key: unknown): Promise<ModelRow>
  removeWhere(where: ModelRow): Promise<number>
  restore(key: unknown): Promise<ModelRow>
  find(keyOrWhere: unknown): Promise<ModelRow | undefined>
  get(key: unknown): Promise<ModelRow>
  load(key: unknown): Promise<ModelRow>
  getMany(keys: readonly unknown[]): Promise<{ rows: ModelRow[]; missing: unknown[] }>
  exists(keyOrWhere: unknown): Promise<boolean>
  count(where: ModelRow): Promise<number>
  list(options: object): Promise<{ rows: ModelRow[]; next?: string; previous?: string; count?: number }>
  stream(options: object): AsyncIterable<ModelRow>
}

interface Subject {
  readonly name: string
  readonly source: Source
  readonly rules: TableRules
  /** Columns the caller gives, with values that meet often. */
  readonly given: Readonly<Record<string, fc.Arbitrary<unknown>>>
  /** Columns that may be left out of a new row. */
  readonly optional: readonly string[]
  /** Columns decided by the clock or a sequence: taken over from the answer. */
  readonly unpredictable: readonly string[]
  /** Unique columns for upsert, all of which the caller gives. */
  readonly on?: readonly string[]
  readonly clear: string
}

const letters = fc.constantFrom('a', 'b', 'c', 'ab', 'bc')
const small = fc.integer({ min: 0, max: 3 })
const nullable = (value: fc.Arbitrary<unknown>) => fc.option(value)

const subjects: Record<'toy' | 'shop', readonly Subject[]> = {
  toy: [
    {
      name: 'words',
      source: toy.words,
      rules: { key: ['word'], unique: [['word']], onUpdate: { stamp: 'touched' } },
      given: { word: letters, uses: small },
      optional: ['uses'],
      unpredictable: ['seen', 'stamp'],
      on: ['word'],
      clear: 'delete from words',
    },
    {
      name: 'shelves',
      source: toy.shelves,
      rules: {
        key: ['room', 'position'],
        unique: [['room', 'position']],
        computed: { area: (row) => Number(row.capacity) * 2 },
      },
      given: { room: letters, position: small, label: nullable(letters), capacity: small },
      optional: ['label', 'capacity'],
      unpredictable: [],
      on: ['room', 'position'],
      clear: 'delete from exhibits; delete from yard."Odd ""shelves"""',
    },
    {
      name: 'notes',
      source: toy.notes,
      rules: { key: ['id'], unique: [['id'], ['slug']], version: 'version', removedAt: 'removedAt' },
      given: { slug: letters, body: letters },
      optional: ['body'],
      unpredictable: ['id', 'updatedAt', 'removedAt'],
      on: ['slug'],
      clear: 'delete from notes',
    },
    {
      name: 'exhibits',
      source: toy.exhibits,
      rules: { key: ['id'], unique: [] },
      given: {
        title: letters,
        rank: nullable(small),
        weight: nullable(fc.constantFrom('1.5000000000', '-2.0000000000', '10.0000000000')),
        value: nullable(fc.constantFrom(-1n, 0n, 2n ** 40n)),
      },
      optional: ['rank', 'weight', 'value'],
      unpredictable: ['id'],
      clear: 'delete from exhibits',
    },
  ],
  shop: [
    {
      name: 'customers',
      source: shop.customers,
      rules: { key: ['id'], unique: [['name']], version: 'version' },
      given: { name: letters, job: letters },
      optional: ['job'],
      unpredictable: ['id', 'createdAt', 'updatedAt'],
      on: ['name'],
      clear: 'delete from customers',
    },
    {
      name: 'products',
      source: shop.products,
      rules: { key: ['id'], unique: [['sku']] },
      given: { sku: letters, name: letters, price: fc.constantFrom('1.50', '0.00', '10.00'), stock: small },
      optional: ['stock'],
      unpredictable: ['id', 'createdAt', 'updatedAt'],
      on: ['sku'],
      clear: 'delete from products',
    },
  ],
}

/** What a new row has in columns that were left out. */
const defaults: Record<string, ModelRow> = {
  words: { uses: 0 },
  shelves: { label: null, capacity: 10 },
  notes: { body: '', version: 1, removedAt: null, exhibitId: null },
  exhibits: { rank: null, weight: null, value: null, room: null, position: null, parentId: null },
  customers: { job: '', version: 1, userId: null },
  products: { stock: 0, description: '', tags: [], attributes: {}, available: true },
}

const directions = ['asc', 'desc', 'asc nulls first', 'desc nulls last'] as const

function rowOf({ given, optional }: Subject): fc.Arbitrary<ModelRow> {
  return fc.record(given, { requiredKeys: Object.keys(given).filter((name) => !optional.includes(name)) })
}

function conditionOf({ given }: Subject): fc.Arbitrary<ModelRow> {
  const columns = Object.entries(given).map(([name, values]) => {
    const value = values.filter((candidate) => candidate !== null)
    const operators = fc.oneof(
      fc.record({ eq: values }),
      fc.record({ ne: value }),
      fc.record({ gt: value, lte: value }, { requiredKeys: [] }).filter((operator) => Object.keys(operator).length > 0),
      fc.record({ gte: value }),
      fc.record({ lt: value }),
      fc.record({ in: fc.array(value, { maxLength: 3 }) }),
      fc.record({ notIn: fc.array(value, { maxLength: 2 }) }),
      fc.record({ isNull: fc.boolean() }),
      values,
    )
    return operators.map((operator) => ({ [name]: operator }))
  })
  return fc.letrec<{ condition: ModelRow; leaf: ModelRow }>((tie) => ({
    leaf: fc.oneof(...columns),
    condition: fc.oneof(
      { maxDepth: 2 },
      tie('leaf'),
      fc.tuple(tie('leaf'), tie('leaf')).map(([a, b]) => ({ ...a, ...b })),
      fc.array(tie('condition'), { maxLength: 3 }).map((or) => ({ or })),
      fc.array(tie('condition'), { minLength: 1, maxLength: 3 }).map((and) => ({ and })),
      tie('condition').map((not) => ({ not })),
    ),
  })).condition
}

type Step =
  | { readonly do: 'insert' | 'upsert'; readonly row: ModelRow; readonly some: boolean }
  | { readonly do: 'insertMany'; readonly rows: ModelRow[] }
  | { readonly do: 'upsertMany'; readonly rows: ModelRow[]; readonly none: boolean }
  | { readonly do: 'update'; readonly at: number; readonly patch: ModelRow; readonly stale: boolean }
  | { readonly do: 'updateMany'; readonly changes: Change[] }
  | { readonly do: 'updateWhere'; readonly where: ModelRow; readonly patch: ModelRow }
  | { readonly do: 'remove' | 'restore'; readonly at: number }
  | { readonly do: 'removeWhere'; readonly where: ModelRow }
  | { readonly do: 'list'; readonly where: ModelRow; readonly orderBy: [string, string][]; readonly limit: number }

/** A row among those there are, and what becomes of it. */
interface Change {
  readonly at: number
  readonly patch: ModelRow
  readonly version: 'any' | 'current' | 'stale'
}

function stepOf(subject: Subject): fc.Arbitrary<Step> {
  const { given, rules } = subject
  const row = rowOf(subject)
  const where = conditionOf(subject)
  const patch = fc.record(given, { requiredKeys: [] })
  const at = fc.nat(9)
  const order = fc.uniqueArray(
    fc.tuple(fc.constantFrom(...Object.keys(given), ...rules.key), fc.constantFrom(...directions)),
    {
      selector: ([name]) => name,
      maxLength: 3,
    },
  )
  return fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('insert' as const), row, some: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('upsert' as const), row, some: fc.boolean() }) },
    fc.record({ do: fc.constant('insertMany' as const), rows: fc.array(row, { maxLength: 4 }) }),
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('upsertMany' as const),
        rows: fc.array(row, { maxLength: 4 }),
        none: fc.boolean(),
      }),
    },
    fc.record({ do: fc.constant('update' as const), at, patch, stale: fc.boolean() }),
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('updateMany' as const),
        changes: fc.array(
          fc.record({ at, patch, version: fc.constantFrom('any' as const, 'current' as const, 'stale' as const) }),
          { maxLength: 4 },
        ),
      }),
    },
    fc.record({ do: fc.constant('updateWhere' as const), where, patch }),
    fc.record({ do: fc.constantFrom('remove' as const, 'restore' as const), at }),
    fc.record({ do: fc.constant('removeWhere' as const), where }),
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('list' as const),
        where,
        orderBy: order as fc.Arbitrary<[string, string][]>,
        limit: fc.integer({ min: 1, max: 4 }),
      }),
    },
  )
}

/** Runs the steps on both, and compares after each. */
class Comparison {
  readonly #subject: Subject
  readonly #repository: Untyped
  readonly #model: TableModel

  constructor(subject: Subject, runner: RepositoryRunner) {
    this.#subject = subject
    this.#repository = createRepository(runner, subject.source) as unknown as Untyped
    this.#model = new TableModel(subject.rules)
  }

  run(step: Step): Promise<void> {
    switch (step.do) {
      case 'insert':
        return this.#insert([step.row], async ([row]) => [await this.#repository.insert(row as ModelRow)])
      case 'insertMany':
        return this.#insert(step.rows, (rows) => this.#repository.insertMany(rows))
      case 'upsert':
        return this.#upsert(step.row, step.some)
      case 'upsertMany':
        return this.#upsertMany(step.rows, step.none)
      case 'update':
        return this.#update(step.at, step.patch, step.stale)
      case 'updateMany':
        return this.#updateMany(step.changes)
      case 'updateWhere':
        return this.#updateWhere(step.where, step.patch)
      case 'remove':
        return this.#remove(step.at)
      case 'restore':
        return this.#restore(step.at)
      case 'removeWhere':
        return this.#removeWhere(step.where)
      case 'list':
        return this.#list(step.where, step.orderBy, step.limit)
    }
  }

  /** The whole table, read in several ways. */
  async end(): Promise<void> {
    const { key } = this.#subject.rules
    const expected = inOrder(
      this.#model.visible,
      key.map((name) => [name, 'asc']),
    )
    expect((await this.#repository.list({})).rows).toEqual(expected)
    const keys = this.#model.rows.map((row) => this.#keyOf(row))
    const visible = this.#model.rows.filter((row) => this.#model.visible.includes(row))
    const hidden = this.#model.rows.filter((row) => !this.#model.visible.includes(row))
    const many = await this.#repository.getMany(keys)
    expect(many.rows).toEqual(visible)
    expect(many.missing).toEqual(hidden.map((row) => this.#keyOf(row)))
    expect(await Promise.all(visible.map((row) => this.#repository.load(this.#keyOf(row))))).toEqual(visible)
    const streamed: ModelRow[] = []
    for await (const row of this.#repository.stream({ batchSize: 2 })) streamed.push(row)
    expect(streamed).toHaveLength(expected.length)
  }

  #keyOf(row: ModelRow): unknown {
    const { key } = this.#subject.rules
    return key.length === 1 ? row[key[0] as string] : Object.fromEntries(key.map((name) => [name, row[name]]))
  }

  /** The row the model expects, with what only the server can know taken over from its answer. */
  #expected(row: ModelRow, answered: ModelRow): ModelRow {
    for (const name of this.#subject.unpredictable) row[name] = answered[name]
    return this.#model.compute(row)
  }

  async #insert(rows: readonly ModelRow[], run: (rows: readonly ModelRow[]) => Promise<ModelRow[]>): Promise<void> {
    const before = [...this.#model.rows]
    let conflict = false
    const added = rows.map((row): ModelRow => {
      const complete = { ...defaults[this.#subject.name], ...row }
      conflict ||= this.#model.conflicts(complete)
      this.#model.rows.push(complete)
      return complete
    })
    if (conflict) {
      this.#model.rows = before
      await expect(run(rows)).rejects.toMatchObject({ code: 'unique_violation' })
      return
    }
    const answered = await run(rows)
    expect(answered).toEqual(added.map((row, index) => this.#expected(row, answered[index] as ModelRow)))
  }

  async #upsert(row: ModelRow, some: boolean): Promise<void> {
    const { on } = this.#subject
    if (!on) return
    const others = this.#updatable(row)
    const update = some ? others.slice(0, 1) : others
    const run = () => this.#repository.upsert(row, { on, ...(some ? { update } : {}) })
    const expected = this.#upserted(row, update)
    if (!expected) return void (await expect(run()).rejects.toMatchObject({ code: 'unique_violation' }))
    this.#compareUpserted(expected, await run())
  }

  /** What each of the rows would do alone, one after the other; all or none. */
  async #upsertMany(rows: readonly ModelRow[], none: boolean): Promise<void> {
    const { on } = this.#subject
    if (!on) return
    const before = this.#model.rows.map((row) => ({ ...row }))
    const run = () => this.#repository.upsertMany(rows, { on, ...(none ? { update: [] } : {}) })
    const expected = rows.map((row) => this.#upserted(row, none ? [] : this.#updatable(row)))
    const met = expected.map((each) => each?.row)
    if (met.includes(undefined) || new Set(met).size < met.length) {
      this.#model.rows = before
      const refusal: unknown = await run().catch((error: unknown) => (error as { code: unknown }).code)
      expect(['unique_violation', 'invalid_input']).toContain(refusal)
      return
    }
    const answered = await run()
    expect(answered).toHaveLength(rows.length)
    for (const [index, each] of expected.entries()) {
      if (each) this.#compareUpserted(each, answered[index] as ModelRow)
    }
  }

  #updatable(row: ModelRow): string[] {
    const { on = [], given } = this.#subject
    return Object.keys(given).filter((name) => !on.includes(name) && row[name] !== undefined)
  }

  /** Upserts in the model; undefined where a removed row is in the way. */
  #upserted(row: ModelRow, update: readonly string[]): { readonly row: ModelRow; readonly isNew: boolean } | undefined {
    const { on = [] } = this.#subject
    const inTheWay = this.#model.rows.find((other) => on.every((name) => other[name] === row[name]))
    if (inTheWay && !this.#model.visible.includes(inTheWay)) return undefined
    if (!inTheWay) {
      const complete: ModelRow = { ...defaults[this.#subject.name], ...row }
      this.#model.rows.push(complete)
      return { row: complete, isNew: true }
    }
    if (update.length > 0) this.#model.change(inTheWay, Object.fromEntries(update.map((name) => [name, row[name]])))
    return { row: inTheWay, isNew: false }
  }

  #compareUpserted({ row, isNew }: { readonly row: ModelRow; readonly isNew: boolean }, answered: ModelRow): void {
    const { rules, unpredictable } = this.#subject
    const stays = isNew ? [] : unpredictable.filter((name) => rules.key.includes(name))
    for (const name of stays) expect(answered[name]).toEqual(row[name])
    expect(answered).toEqual(this.#expected(row, answered))
  }

  async #update(at: number, patch: ModelRow, stale: boolean): Promise<void> {
    const { version } = this.#subject.rules
    const row = this.#model.rows[at]
    if (!row) return
    const key = this.#keyOf(row)
    const ifVersion = version === undefined ? undefined : Number(row[version]) - (stale ? 1 : 0)
    const run = () => this.#repository.update(key, patch, ifVersion === undefined ? {} : { ifVersion })
    if (!this.#model.visible.includes(row)) {
      await expect(run()).rejects.toMatchObject({ code: 'not_found' })
    } else if (version !== undefined && stale) {
      await expect(run()).rejects.toMatchObject({ code: 'version_conflict' })
    } else if (this.#model.conflicts({ ...row, ...patch }, row)) {
      await expect(run()).rejects.toMatchObject({ code: 'unique_violation' })
    } else {
      const answered = await run()
      if (Object.keys(patch).length > 0) this.#model.change(row, patch)
      expect(answered).toEqual(this.#expected(row, answered))
      expect(await this.#repository.get(this.#keyOf(row))).toEqual(row)
    }
  }

  /** What each of the changes would do alone; all or none. */
  async #updateMany(changes: readonly Change[]): Promise<void> {
    const { key, version, unique } = this.#subject.rules
    const fixed = new Set([...key, ...unique.flat()])
    const refusals: string[] = []
    const met = changes.flatMap(({ at, patch: all, version: wanted }) => {
      const row = this.#model.rows[at]
      if (!row) return []
      const patch: ModelRow = Object.fromEntries(Object.entries(all).filter(([name]) => !fixed.has(name)))
      const given: ModelRow = { ...patch, ...Object.fromEntries(key.map((name) => [name, row[name]])) }
      if (version !== undefined && wanted !== 'any')
        given[version] = Number(row[version]) - (wanted === 'stale' ? 1 : 0)
      if (!this.#model.visible.includes(row)) refusals.push('not_found')
      else if (version !== undefined && wanted === 'stale') refusals.push('version_conflict')
      return [{ row, patch, given }]
    })
    if (new Set(met.map(({ row }) => row)).size < met.length) refusals.push('invalid_input', 'version_conflict')
    const run = () => this.#repository.updateMany(met.map(({ given }) => given))
    if (refusals.length > 0) {
      const refusal: unknown = await run().catch((error: unknown) => (error as { code: unknown }).code)
      expect(refusals).toContain(refusal)
      return
    }
    const answered = await run()
    for (const { row, patch } of met) if (Object.keys(patch).length > 0) this.#model.change(row, patch)
    expect(answered).toEqual(met.map(({ row }, index) => this.#expected(row, answered[index] as ModelRow)))
  }

  async #updateWhere(where: ModelRow, patch: ModelRow): Promise<void> {
    const rows = this.#model.select(where)
    const uniques = new Set(this.#subject.rules.unique.flat())
    if (Object.keys(patch).length === 0 || Object.keys(patch).some((name) => uniques.has(name))) return
    if (isVacuous(where)) return
    if (holdsAlways(where)) {
      await expect(this.#repository.updateWhere(where, patch)).rejects.toMatchObject({ code: 'usage' })
      return
    }
    expect(await this.#repository.updateWhere(where, patch)).toBe(rows.length)
    for (const row of rows) {
      this.#model.change(row, patch)
      this.#expected(row, await this.#repository.get(this.#keyOf(row)))
    }
  }

  async #remove(at: number): Promise<void> {
    const row = this.#model.rows[at]
    if (!row) return
    if (!this.#model.visible.includes(row)) {
      await expect(this.#repository.remove(this.#keyOf(row))).rejects.toMatchObject({ code: 'not_found' })
      return
    }
    const key = this.#keyOf(row)
    const answered = await this.#repository.remove(key)
    this.#model.remove(row)
    expect(answered).toEqual(this.#expected(row, answered))
    expect(await this.#repository.exists(key)).toBe(false)
  }

  async #restore(at: number): Promise<void> {
    const { removedAt } = this.#subject.rules
    const row = this.#model.rows[at]
    if (!row || removedAt === undefined) return
    if (row[removedAt] === null) {
      await expect(this.#repository.restore(this.#keyOf(row))).rejects.toMatchObject({ code: 'not_found' })
      return
    }
    const answered = await this.#repository.restore(this.#keyOf(row))
    expect(answered).toEqual(this.#expected(this.#model.change(row, { [removedAt]: null }), answered))
  }

  async #removeWhere(where: ModelRow): Promise<void> {
    if (isVacuous(where)) return
    if (holdsAlways(where)) {
      await expect(this.#repository.removeWhere(where)).rejects.toMatchObject({ code: 'usage' })
      return
    }
    const rows = this.#model.select(where)
    const { removedAt } = this.#subject.rules
    expect(await this.#repository.removeWhere(where)).toBe(rows.length)
    for (const row of rows) this.#model.remove(row)
    if (removedAt === undefined) return
    const all = (await this.#repository.list({ removed: 'only' } as object)).rows
    for (const row of rows) this.#expected(row, all.find((other) => other.id === row.id) as ModelRow)
  }

  async #list(where: ModelRow, orderBy: readonly [string, string][], limit: number): Promise<void> {
    const { key } = this.#subject.rules
    const last = orderBy.at(-1)?.[1].startsWith('desc') === true ? 'desc' : 'asc'
    const expected = inOrder(this.#model.select(where), [...orderBy, ...key.map((name) => [name, last] as const)])
    const options = { where, orderBy: orderBy.map(([name, direction]) => ({ [name]: direction })), limit }
    const pages: ModelRow[][] = []
    let after: string | undefined
    do {
      const page = await this.#repository.list({ ...options, after, count: true })
      expect(page.count).toBe(expected.length)
      pages.push(page.rows)
      after = page.next
    } while (after !== undefined)
    expect(pages.flat()).toEqual(expected)
    expect(pages.length).toBe(Math.max(1, Math.ceil(expected.length / limit)))
    expect(await this.#repository.count(where)).toBe(expected.length)
    if (!isVacuous(where)) {
      const [first] = inOrder(
        expected,
        key.map((name) => [name, 'asc']),
      )
      expect(await this.#repository.find(where)).toEqual(first)
    }
  }
}

/** True for filters that say nothing, which some operations refuse. */
function isVacuous(where: ModelRow): boolean {
  return Array.isArray(where.and) && where.and.every(isVacuous)
}

let toyDatabase: Toy
let shopDatabase: TestDatabase
let shopEngine: Engine<typeof shop>

beforeAll(async () => {
  toyDatabase = await openToy()
  shopDatabase = await openTestDatabase()
  shopEngine = await openEngine({ schema: shop, url: shopDatabase.url, pool: { max: 1 } })
})

afterAll(async () => {
  await shopEngine.close()
  await shopDatabase[Symbol.asyncDispose]()
  await toyDatabase[Symbol.asyncDispose]()
})

type Task = (session: AnySession) => Promise<void>

async function compare(subject: Subject, inSession: (task: Task) => Promise<void>): Promise<void> {
  const steps = fc.array(stepOf(subject), { minLength: 5, maxLength: 25 })
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      await inSession(async (session) => {
        for (const statement of subject.clear.split(';')) await taskSessionOf(session).run(statement, [], {})
        const comparison = new Comparison(subject, taskSessionOf(session))
        for (const step of sequence) await comparison.run(step)
        await comparison.end()
      })
    }),
    { numRuns: 25 },
  )
}

describe('random operations answer like a model in memory', () => {
  test.each(subjects.toy.map((subject) => [subject.name, subject] as const))(
    'toy %s',
    { timeout: 60_000 },
    (_, subject) => compare(subject, (task) => toyDatabase.engine.session(task)),
  )
  test.each(subjects.shop.map((subject) => [subject.name, subject] as const))(
    'shop %s',
    { timeout: 60_000 },
    (_, subject) => compare(subject, (task) => shopEngine.session(task)),
  )
})
