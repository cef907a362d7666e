/** A query whose list of columns was rendered before is, text and parameters, the one that Drizzle renders. */
import { desc, eq, sql } from 'drizzle-orm'
import { alias, integer, pgSchema, pgTable, QueryBuilder, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { createDrizzle } from '../../src/drizzle/driver.ts'

const people = pgTable('people', { id: integer().primaryKey(), firstName: text(), 'odd "name"': text('odd "name"') })
const pets = pgSchema('elsewhere').table('pets', { id: integer('pet id').primaryKey(), ownerId: integer() })
const empty = pgTable('empty', {})

type Builder = Pick<QueryBuilder, 'select' | 'selectDistinct' | 'with' | '$with'>

const queries: Readonly<Record<string, (db: Builder) => { toSQL(): unknown }>> = {
  all: (db) => db.select().from(people),
  'of another schema': (db) => db.select().from(pets).where(eq(pets.ownerId, 1)),
  'with all clauses': (db) =>
    db
      .select()
      .from(people)
      .where(sql`${people.firstName} like ${'a%'}`)
      .groupBy(people.id)
      .having(eq(people.id, 2))
      .orderBy(desc(people.firstName), people.id)
      .limit(3)
      .offset(4)
      .for('update', { of: people, skipLocked: true }),
  distinct: (db) => db.selectDistinct().from(people),
  'of an alias': (db) => db.select().from(alias(people, 'p')),
  'of an alias, twice': (db) => {
    const other = alias(people, 'p')
    return db.select().from(other).where(eq(other.id, 1))
  },
  joined: (db) => db.select().from(people).leftJoin(pets, eq(pets.ownerId, people.id)),
  'of some columns': (db) => db.select({ id: people.id, firstName: people.firstName }).from(people),
  'of all columns in another order': (db) =>
    db.select({ odd: people['odd "name"'], firstName: people.firstName, id: people.id }).from(people),
  'of all columns under other names': (db) =>
    db.select({ id: people.firstName, firstName: people.id, 'odd "name"': people['odd "name"'] }).from(people),
  'of as many columns, one an expression': (db) =>
    db
      .select({ id: people.id, firstName: sql`lower(${people.firstName})`, 'odd "name"': people['odd "name"'] })
      .from(people),
  'in a union': (db) =>
    db
      .select()
      .from(people)
      .union(db.select().from(people).where(eq(people.id, 1)))
      .orderBy(people.id),
  'in a subquery': (db) => {
    const inner = db.select().from(people).where(eq(people.id, 5)).as('inner')
    return db.select().from(inner).where(eq(inner.firstName, 'x'))
  },
  'in a common table expression': (db) => {
    const inner = db.$with('inner').as(db.select().from(people))
    return db.with(inner).select().from(inner)
  },
  'in an expression': (db) => db.select({ found: sql`exists (${db.select().from(pets)})` }).from(people),
  'of a table without columns': (db) => db.select().from(empty),
}

describe.each([undefined, 'snake_case', 'camelCase'] as const)('under the casing %s', (casing) => {
  const nobody = {
    run: () => Promise.reject(new Error('not run')),
    transaction: () => Promise.reject(new Error('not run')),
  }
  const ours = createDrizzle({ people, pets }, casing).database(nobody) as unknown as Builder
  const theirs = new QueryBuilder(casing && { casing })

  test.each(Object.entries(queries))('a query %s is as Drizzle has it, each time', (_, query) => {
    const expected = query(theirs).toSQL()
    expect(query(ours).toSQL()).toEqual(expected)
    expect(query(ours).toSQL()).toEqual(expected)
  })
})
