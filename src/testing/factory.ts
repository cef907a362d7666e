/**
 * Factories: rows for tests, of which a test says only what it is about.
 *
 * The nth row of a factory is the same in every run: it is made of n and of randomness that belongs to the seed, the
 * table and n, whatever else was made before. What must be unique is made of n.
 */
import { getTableName, is } from 'drizzle-orm'
import { PgTable } from 'drizzle-orm/pg-core'
import { InvalidInput, UsageError } from '../errors.ts'
import { type AnySession, taskSessionOf } from '../repository/session.ts'
import { createRepository } from '../repository/table-repository.ts'
import type { NewRow, Row } from '../repository/types/table-types.ts'
import { isPlain } from '../values/plain-object.ts'
import { type SeededRandom, seededRandom } from './seeded-random.ts'

/** Values that a test gives itself, in place of the factory's. */
export type Overrides<TTable extends PgTable> = Partial<NewRow<TTable>>

/** Makes the nth row; n counts from 1. */
export type Make<TTable extends PgTable> = (n: number, random: SeededRandom) => NewRow<TTable>

/** Makes rows of one table, and inserts them in the session given. */
export interface Factory<TTable extends PgTable> {
  /** The next row, which is not inserted. */
  build(overrides?: Overrides<TTable>): NewRow<TTable>
  /** Inserts the next row and returns it as stored. @throws as `insert` of a repository. */
  create(session: AnySession, overrides?: Overrides<TTable>): Promise<Row<TTable>>
  /** Inserts the next `count` rows, all or none, and returns them in their order. */
  createMany(session: AnySession, count: number, overrides?: Overrides<TTable>): Promise<Row<TTable>[]>
  /** The same factory with another seed, or the same one, which counts from 1. */
  seeded(seed?: number): Factory<TTable>
}

/** The repository of a table with a key, as far as a factory uses it. */
interface Inserts<TTable extends PgTable> {
  insert(row: NewRow<TTable>): Promise<Row<TTable>>
  insertMany(rows: readonly NewRow<TTable>[]): Promise<Row<TTable>[]>
}

/**
 * Defines how rows of `table` are made:
 * `defineFactory(customers, (n, random) => ({ email: `customer${n}@example.org`, age: random.integer(18, 90) }))`.
 * `seed` is a whole number, by default 1.
 */
export function defineFactory<TTable extends PgTable>(table: TTable, make: Make<TTable>, seed = 1): Factory<TTable> {
  if (!is(table, PgTable) || typeof make !== 'function') {
    throw new UsageError('defineFactory takes a table and a function of (n, random)')
  }
  if (!Number.isSafeInteger(seed)) throw new InvalidInput('the seed of a factory must be a whole number')
  const name = getTableName(table)
  let made = 0
  const build = (overrides: Overrides<TTable> = {}): NewRow<TTable> => {
    if (!isPlain(overrides)) throw new UsageError(`the values given for a row of ${name} must be an object`)
    made += 1
    const row = make(made, seededRandom(`${seed} ${name} ${made}`))
    if (!isPlain(row))
      throw new UsageError(`the function of the factory of ${name} must return a row: an object of values`)
    return { ...row, ...overrides }
  }
  const inserts = (session: AnySession) => createRepository(taskSessionOf(session), table) as unknown as Inserts<TTable>
  return {
    build,
    create: async (session, overrides) => inserts(session).insert(build(overrides)),
    createMany: async (session, count, overrides) => {
      if (!Number.isSafeInteger(count) || count < 0) {
        throw new InvalidInput('the number of rows to create must be a whole number of at least 0')
      }
      return inserts(session).insertMany(Array.from({ length: count }, () => build(overrides)))
    },
    seeded: (other = seed) => defineFactory(table, make, other),
  }
}
