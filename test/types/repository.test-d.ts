/** What repositories promise at compile time: exact rows, and errors for calls that could not work. */
import { type SQL, sql } from 'drizzle-orm'
import { bigint, customType, integer, pgTable, point, text, timestamp } from 'drizzle-orm/pg-core'
import { describe, expectTypeOf, test } from 'vitest'
import * as shop from '../../schema/index.ts'
import { customers, products, reviews } from '../../schema/index.ts'
import type { Engine } from '../../src/engine.ts'
import type { AnySession, Session } from '../../src/repository/session.ts'
import { conventions } from '../../src/repository/types/conventions.ts'
import { defineRepository } from '../../src/repository/define-repository.ts'
import type { Page } from '../../src/repository/types/operations.ts'
import type { Key, NewRow, Order, Patch, Row, Where } from '../../src/repository/types/table-types.ts'
import * as sides from '../support/relation-sides.ts'
import * as sameNames from '../support/same-names.ts'
import * as toy from '../support/toy-schema.ts'
import { exhibits, heavy, lines, notes, samples, shelves, titles, words } from '../support/toy-schema.ts'

declare const shopSession: Session<typeof shop>
declare const toySession: Session<typeof toy>
declare const engine: Engine<typeof shop>

const { repository } = toySession

describe('a session', () => {
  test('has eleven members', () => {
    type Members =
      | 'db'
      | 'sql'
      | 'repository'
      | 'transaction'
      | 'stream'
      | 'explain'
      | 'signal'
      | 'deadline'
      | 'label'
      | 'backendPid'
    expectTypeOf<keyof Session<typeof shop>>().toEqualTypeOf<Members | 'inTransaction'>()
  })

  test('whatever its schema, is what repositories and queries of a program take', () => {
    const notesOf = defineRepository(notes, (base) => ({ first: () => base.find({}) }))
    expectTypeOf(notesOf).parameter(0).toEqualTypeOf<AnySession>()
    expectTypeOf(shopSession).toExtend<AnySession>()
    expectTypeOf(toySession).toExtend<AnySession>()
  })
})

describe('rows, keys and patches follow from the table', () => {
  test('rows', () => {
    expectTypeOf<Row<typeof products>>().toEqualTypeOf<shop.Product>()
    expectTypeOf(shopSession.repository(products).get(1)).resolves.toEqualTypeOf<shop.Product>()
    expectTypeOf(shopSession.repository(products).find({ sku: 'a' })).resolves.toEqualTypeOf<shop.Product | undefined>()
    expectTypeOf(repository(exhibits).list()).resolves.toHaveProperty('rows').toEqualTypeOf<Row<typeof exhibits>[]>()
    expectTypeOf(repository(heavy).list()).resolves.toHaveProperty('rows').toEqualTypeOf<Row<typeof heavy>[]>()
  })

  test('keys', () => {
    expectTypeOf<Key<typeof products>>().toEqualTypeOf<number>()
    expectTypeOf<Key<typeof exhibits>>().toEqualTypeOf<bigint>()
    expectTypeOf<Key<typeof notes>>().toEqualTypeOf<string>()
    expectTypeOf<Key<typeof shelves>>().toEqualTypeOf<{ readonly room: string; readonly position: number }>()
    expectTypeOf<Key<typeof titles>>().toEqualTypeOf<bigint>()
    expectTypeOf<Key<typeof lines>>().toEqualTypeOf<never>()
  })

  test('new rows leave generated and kept columns out, and may leave defaults out', () => {
    expectTypeOf<NewRow<typeof shelves>>().toEqualTypeOf<{
      room: string | SQL
      position: number | SQL
      label?: string | SQL | null | undefined
      capacity?: number | SQL | undefined
    }>()
    expectTypeOf<keyof NewRow<typeof notes>>().toEqualTypeOf<'id' | 'exhibitId' | 'slug' | 'body'>()
    expectTypeOf<keyof Patch<typeof exhibits>>().not.toEqualTypeOf<'id'>()
  })

  test('of a table alone fit the operations, and what they answer fits them', async () => {
    const notesOf = repository(notes)
    const where: Where<typeof notes> = { slug: { like: 'a%' }, or: [{ body: 'x' }, { not: { exhibitId: null } }] }
    const order: Order<typeof notes> = { slug: 'desc' }
    const patch: Patch<typeof notes> = { body: sql`'x'`, slug: 'a' }
    const given: NewRow<typeof notes> = { slug: 'a' }
    const row: Row<typeof notes> = await notesOf.insert(given)
    const key: Key<typeof shelves> = await repository(shelves).get({ room: 'A', position: 1 })
    void notesOf.list({ where, orderBy: [order] })
    void notesOf.updateWhere(where, patch)
    void notesOf.updateMany([row, { id: row.id, body: sql`'x'` }, { id: row.id, version: 2 }])
    void repository(shelves).updateMany([{ room: 'A', position: 1, label: null }])
    // @ts-expect-error a row without its whole key
    void repository(shelves).updateMany([{ room: 'A', label: null }])
    // @ts-expect-error a name that is no column
    void repository(shelves).updateMany([{ room: 'A', position: 1, lable: null }])
    // @ts-expect-error a table without a version
    void repository(shelves).updateMany([{ room: 'A', position: 1, version: 1 }])
    void repository(shelves).remove(key)
    expectTypeOf(row).toEqualTypeOf<typeof notes.$inferSelect>()
    // @ts-expect-error a name that is no column
    const misspelt: Where<typeof notes> = { slog: 'a' }
    // @ts-expect-error nor in a nested filter
    const nested: Where<typeof notes> = { or: [{ slog: 'a' }] }
    // @ts-expect-error json has no order
    const unordered: Order<typeof samples> = { aJson: 'asc' }
    // @ts-expect-error the version is kept by the convention
    const kept: NewRow<typeof notes> = { slug: 'a', version: 2 }
    void [misspelt, nested, unordered, kept]
  })

  test('gather and domain repositories keep the types', () => {
    const customersOf = defineRepository(customers, (base) => ({ byName: (name: string) => base.find({ name }) }))
    expectTypeOf(customersOf(shopSession).byName('x')).resolves.toEqualTypeOf<shop.Customer | undefined>()
    expectTypeOf(customersOf(shopSession).get(1)).resolves.toEqualTypeOf<shop.Customer>()
    const gathered = engine.gather({
      product: ({ repository }) => repository(products).get(1),
      customer: (session) => customersOf(session).byName('x'),
    })
    expectTypeOf(gathered).resolves.toEqualTypeOf<{ product: shop.Product; customer: shop.Customer | undefined }>()
  })

  test('a page has its count where it is asked for', () => {
    const { list } = repository(words)
    expectTypeOf(list({ count: true }))
      .resolves.toHaveProperty('count')
      .toEqualTypeOf<number>()
    expectTypeOf(list({ count: true, select: ['uses'] }))
      .resolves.toHaveProperty('rows')
      .toEqualTypeOf<{ uses: number }[]>()
    type Plain = Promise<Page<Row<typeof words>>>
    expectTypeOf(list()).toEqualTypeOf<Plain>()
    expectTypeOf(list({ count: false })).toEqualTypeOf<Plain>()
    expectTypeOf(list({ count: {} as boolean })).toEqualTypeOf<Plain>()
    expectTypeOf(list({ count: {} as true | undefined })).toEqualTypeOf<Plain>()
    const flag = {} as boolean
    expectTypeOf(list({ limit: 1, count: flag })).toEqualTypeOf<Plain>()
    // @ts-expect-error a count that may not be asked for is not sure: say count: flag
    void list({ limit: 1, ...(flag && { count: true }) })
    // @ts-expect-error the same
    void list(flag ? { count: true } : { limit: 1 })
    expectTypeOf(list({ count: true })).resolves.toExtend<Page<Row<typeof words>>>()
  })

  test('a lock may be skipped only where it is said that it may', () => {
    const { lock } = repository(words)
    type Word = Row<typeof words>
    expectTypeOf(lock('a', 'share')).resolves.toEqualTypeOf<Word>()
    expectTypeOf(lock('a', 'share', { nowait: {} as boolean })).resolves.toEqualTypeOf<Word>()
    expectTypeOf(lock('a', 'share', { skipLocked: false })).resolves.toEqualTypeOf<Word>()
    expectTypeOf(lock('a', 'share', { skipLocked: true })).resolves.toEqualTypeOf<Word | undefined>()
    expectTypeOf(lock('a', 'share', { skipLocked: {} as boolean })).resolves.toEqualTypeOf<Word | undefined>()
    expectTypeOf(lock('a', 'share', { skipLocked: {} as true | undefined })).resolves.toEqualTypeOf<Word | undefined>()
    // @ts-expect-error either, not both
    void lock('a', 'share', { nowait: true, skipLocked: true })
  })

  test('a method of a domain repository takes the place of the operation of its name', () => {
    const wordsOf = defineRepository(words, (base) => ({ get: (word: string) => base.find(word) }))
    expectTypeOf(wordsOf(toySession).get('a')).resolves.toEqualTypeOf<Row<typeof words> | undefined>()
  })
})

describe('a table under two names in the schema', () => {
  const plain = pgTable('pairs', { a: text('a').notNull(), b: text('b').notNull() })
  const keyed = conventions(pgTable('pairs', { a: text('a').notNull(), b: text('b').notNull() }), { key: ['a', 'b'] })
  const twice = { plain, keyed }
  const session = {} as Session<typeof twice>

  test('has the operations of the value that is given', () => {
    expectTypeOf(session.repository(keyed)).toHaveProperty('insert')
    expectTypeOf(session.repository(keyed).get({ a: 'a', b: 'b' })).resolves.toEqualTypeOf<Row<typeof keyed>>()
    expectTypeOf(session.repository(plain)).not.toHaveProperty('insert')
  })
})

describe('select and with', () => {
  test('narrow and widen the row', () => {
    expectTypeOf(repository(words).get('a', { select: ['uses'] })).resolves.toEqualTypeOf<{ uses: number }>()
    const loaded = shopSession.repository(reviews).get(1, {
      select: ['rating'],
      with: { customer: { select: ['name'] }, product: { with: { reviews: { select: ['id'], limit: 1 } } } },
    })
    expectTypeOf(loaded).resolves.toHaveProperty('rating').toEqualTypeOf<number>()
    expectTypeOf(loaded).resolves.not.toHaveProperty('body')
    expectTypeOf(loaded).resolves.toHaveProperty('customer').toEqualTypeOf<{ name: string }>()
    expectTypeOf(loaded).resolves.toHaveProperty('product').toHaveProperty('sku').toEqualTypeOf<string>()
    expectTypeOf(loaded).resolves.toHaveProperty('product').toHaveProperty('reviews').toEqualTypeOf<{ id: number }[]>()
  })

  test('a relation to one is null where it may be missing', () => {
    const withUser = shopSession.repository(customers).get(1, { with: { user: true } })
    expectTypeOf(withUser).resolves.toHaveProperty('user').toEqualTypeOf<shop.User | null>()
    const filtered = shopSession.repository(reviews).get(1, { with: { customer: { where: { name: 'x' } } } })
    expectTypeOf(filtered).resolves.toHaveProperty('customer').toEqualTypeOf<shop.Customer | null>()
    const always = shopSession.repository(reviews).get(1, { with: { customer: true } })
    expectTypeOf(always).resolves.toHaveProperty('customer').toEqualTypeOf<shop.Customer>()
  })

  test('a relation to one is null where nothing says that this side has the foreign key', () => {
    const { repository } = {} as Session<typeof sides>
    const parent = repository(sides.providers).get(1, { with: { hub: true, lab: { select: ['id'] } } })
    expectTypeOf(parent).resolves.toHaveProperty('hub').toEqualTypeOf<Row<typeof sides.hubs> | null>()
    expectTypeOf(parent).resolves.toHaveProperty('lab').toEqualTypeOf<{ id: number } | null>()
    const child = repository(sides.labs).get(1, { with: { provider: true } })
    expectTypeOf(child).resolves.toHaveProperty('provider').toEqualTypeOf<Row<typeof sides.providers> | null>()
    const oneOfMany = repository(sides.runs).get(1, { with: { lab: { with: { provider: true } } } })
    expectTypeOf(oneOfMany).resolves.toHaveProperty('lab').toHaveProperty('id').toEqualTypeOf<number>()
  })

  test('a relation that a flag decides on may not be there', () => {
    const loaded = repository(exhibits).get(1n, { with: { parts: {} as boolean, shelf: true } })
    expectTypeOf(loaded).resolves.toHaveProperty('parts').toEqualTypeOf<Row<typeof exhibits>[] | undefined>()
    expectTypeOf(loaded).resolves.toHaveProperty('shelf').toEqualTypeOf<Row<typeof shelves> | null>()
    expectTypeOf(loaded).resolves.toHaveProperty('title').toEqualTypeOf<string>()
    const some = {} as { room: string } | undefined
    const filtered = repository(exhibits).find(1n, { with: { shelf: some && { where: some } } })
    expectTypeOf(filtered)
      .resolves.extract<object>()
      .toHaveProperty('shelf')
      .toEqualTypeOf<Row<typeof shelves> | null | undefined>()
    const none = repository(exhibits).get(1n, { with: { parts: false, shelf: undefined } })
    expectTypeOf(none).resolves.not.toHaveProperty('parts')
    expectTypeOf(none).resolves.not.toHaveProperty('shelf')
    const deep = repository(notes).get('a', { with: { exhibit: { with: { parts: {} as boolean } } } })
    expectTypeOf<NonNullable<Awaited<typeof deep>['exhibit']>['parts']>().toEqualTypeOf<
      Row<typeof exhibits>[] | undefined
    >()
    const either = repository(exhibits).get(1n, { with: {} as { parts: true } | { parts?: never } })
    expectTypeOf<Awaited<typeof either>['parts']>().toEqualTypeOf<Row<typeof exhibits>[] | undefined>()
  })

  test('of a domain repository know the schema it is given', () => {
    const reviewsOf = defineRepository(
      reviews,
      (base, session) => ({
        page: () => base.list({ with: { customer: true } }),
        viaQuery: () => session.db.query.reviews.findFirst(),
      }),
      { schema: shop },
    )
    expectTypeOf(reviewsOf(shopSession).page()).resolves.toHaveProperty('rows').items.toHaveProperty('customer')
  })
})

describe('a table whose schema is not known', () => {
  const { repository } = {} as Session

  test('has its rows, keys and operations', async () => {
    expectTypeOf(repository(notes).get('id')).resolves.toEqualTypeOf<Row<typeof notes>>()
    expectTypeOf(repository(shelves).get({ room: 'A', position: 1 })).resolves.toEqualTypeOf<Row<typeof shelves>>()
    expectTypeOf(repository(titles).get(1n)).resolves.toEqualTypeOf<Row<typeof titles>>()
    expectTypeOf(repository(heavy).list()).resolves.toHaveProperty('rows').toEqualTypeOf<Row<typeof heavy>[]>()
    expectTypeOf(repository(words).get('a', { select: ['uses'] })).resolves.toEqualTypeOf<{ uses: number }>()
    expectTypeOf(repository(notes).insert).parameter(0).toEqualTypeOf<NewRow<typeof notes>>()
    expectTypeOf(repository(samples).insert).parameter(0).toEqualTypeOf<NewRow<typeof samples>>()
    expectTypeOf(repository(shelves).update).parameter(1).toEqualTypeOf<Patch<typeof shelves>>()
    const where: Where<typeof samples> = { aText: { ilike: 'a%' }, integers: { overlaps: [1] }, aJsonb: { eq: {} } }
    void repository(samples).list({ where, orderBy: { aDate: 'asc' } })
    void repository(notes).update('id', { body: sql`'x'` }, { ifVersion: 1 })
    void repository(notes).list({ removed: 'include', where: { or: [{ slug: { like: 'a' } }, { exhibitId: null }] } })
    void repository(notes).restore('id')
    expectTypeOf(repository(notes).count()).resolves.toEqualTypeOf<number>()
    void repository(notes).count({}, { removed: 'include' })
  })

  test('has no others', () => {
    // @ts-expect-error there is no column nane
    void repository(words).find({ nane: 'x' })
    // @ts-expect-error a number has no pattern
    void repository(words).find({ uses: { like: 'a%' } })
    // @ts-expect-error a filter that is undefined by mistake would count all
    void repository(words).count(undefined)
    // @ts-expect-error json has no equality
    void repository(samples).find({ aJson: { eq: {} } })
    // @ts-expect-error json has no order
    void repository(samples).list({ orderBy: { aJson: 'asc' } })
    // @ts-expect-error the key has a position too
    void repository(shelves).get({ room: 'A' })
    // @ts-expect-error area is generated
    void repository(shelves).update({ room: 'A', position: 1 }, { area: 1 })
    // @ts-expect-error an identity that is always generated is not given
    void repository(exhibits).insert({ id: 1n, title: 'x' })
    // @ts-expect-error a title must be given
    void repository(exhibits).insert({ rank: 1 })
    // @ts-expect-error the version is kept by the convention
    void repository(notes).update('id', { version: 2 })
    // @ts-expect-error a view is read-only
    void repository(titles).insert({ title: 'x' })
    // @ts-expect-error a view without a key has no get
    void repository(heavy).get(1n)
    // @ts-expect-error a table without a key is read-only
    void repository(lines).insert({ line: 'x' })
    // @ts-expect-error words have no soft delete
    void repository(words).list({ removed: 'include' })
    // @ts-expect-error words have no version
    void repository(words).update('a', { uses: 1 }, { ifVersion: 1 })
    // @ts-expect-error its relations are not known
    void repository(exhibits).list({ with: { parts: true } })
  })
})

describe('tables of one name in two PostgreSQL schemas', () => {
  const { repository } = {} as Session<typeof sameNames>
  const { posts, accounts, authAccounts } = sameNames

  test('a relation to one of them gives a row of either, which may be missing if it may be in one', () => {
    const loaded = repository(posts).get(1, { with: { account: true } })
    expectTypeOf(loaded)
      .resolves.toHaveProperty('account')
      .toEqualTypeOf<Row<typeof accounts> | Row<typeof authAccounts> | null>()
    const selected = repository(posts).get(1, { with: { account: { select: ['email'], orderBy: { email: 'asc' } } } })
    expectTypeOf(selected)
      .resolves.toHaveProperty('account')
      .toEqualTypeOf<{ email: number } | { email: string } | null>()
    // @ts-expect-error a column that only one of them has
    void repository(posts).get(1, { with: { account: { select: ['nickname'] } } })
    // @ts-expect-error a filter, which may not fit the other
    void repository(posts).get(1, { with: { account: { where: { email: 5 } } } })
  })

  test('each has the rows, filters and keys of its own', () => {
    expectTypeOf(repository(accounts).get(1)).resolves.toEqualTypeOf<Row<typeof accounts>>()
    void repository(accounts).find({ nickname: 'a', email: 5 })
    // @ts-expect-error its namesake's email is no number
    void repository(authAccounts).find({ email: 5 })
    expectTypeOf(repository(accounts).get(1, { with: { posts: true } }))
      .resolves.toHaveProperty('posts')
      .toEqualTypeOf<Row<typeof posts>[]>()
    // @ts-expect-error neither has such a relation
    void repository(accounts).get(1, { with: { orders: true } })
  })
})

describe('what must not compile', () => {
  test('unknown columns', () => {
    // @ts-expect-error there is no column nane
    void repository(words).find({ nane: 'x' })
    // @ts-expect-error nor in a nested filter
    void repository(words).list({ where: { or: [{ nane: 'x' }] } })
    // @ts-expect-error nor in a selection
    void repository(words).get('a', { select: ['nane'] })
    // @ts-expect-error nor in an order
    void repository(words).list({ orderBy: { nane: 'asc' } })
    // @ts-expect-error nor in a row
    void repository(words).insert({ word: 'a', nane: 1 })
    // @ts-expect-error nor in a patch
    void repository(words).update('a', { nane: 1 })
    // @ts-expect-error nor in a relation
    void repository(exhibits).list({ with: { owner: true } })
    // @ts-expect-error words have no relations at all
    void repository(words).list({ with: { owner: true } })
    // @ts-expect-error nor in a relation's filter
    void repository(exhibits).list({ with: { parts: { where: { nane: 1 } } } })
    // @ts-expect-error a misspelt option is no option
    void repository(words).list({ lmit: 5 })
  })

  test('operators and values that do not fit the column', () => {
    // @ts-expect-error a number has no pattern
    void repository(words).find({ uses: { like: 'a%' } })
    // @ts-expect-error a boolean has no order
    void repository(samples).find({ aBoolean: { gt: false } })
    // @ts-expect-error text contains nothing
    void repository(words).find({ word: { contains: 'a' } })
    // @ts-expect-error json has no equality
    void repository(samples).find({ aJson: { eq: {} } })
    // @ts-expect-error a jsonb value could be taken for operators: say eq or contains
    void repository(samples).find({ aJsonb: { a: 1 } })
    // @ts-expect-error a bigint is not a number
    void repository(exhibits).find({ value: 5 })
    // @ts-expect-error a column that is never null is not compared with null
    void repository(words).find({ word: null })
    // @ts-expect-error an enum has only its values
    void repository(samples).find({ aMood: 'glad' })
    // @ts-expect-error a filter without a value is no filter
    void repository(words).find({ word: undefined })
  })

  test('values of types that have no such operators', () => {
    const things = pgTable('things', {
      id: text('id').primaryKey(),
      spots: point('spots').array(),
      grid: point('grid').array().array().notNull(),
      numbers: integer('numbers').array().array(),
      score: customType<{ data: number }>({ dataType: () => 'float8' })('score'),
      tag: customType<{ data: string }>({ dataType: () => 'citext' })('tag'),
    })
    const known = {} as Session<{ things: typeof things }>
    for (const { repository } of [known, {} as Session]) {
      const thingsOf = repository(things)
      void thingsOf.find({ spots: null, grid: { isNull: false }, numbers: { contains: [[1]] }, score: { gt: 1 } })
      void thingsOf.find({ tag: { like: 'a%' }, numbers: [[1]], score: 1 })
      // @ts-expect-error points have no equality, and so have no arrays of points
      void thingsOf.find({ spots: { eq: [[1, 2]] } })
      // @ts-expect-error nor arrays of arrays of them
      void thingsOf.find({ grid: { eq: [[[1, 2]]] } })
      // @ts-expect-error nor an order
      void thingsOf.list({ orderBy: { spots: 'asc' } })
      // @ts-expect-error a number has no pattern, whatever its type
      void thingsOf.find({ score: { like: 'a%' } })
      // @ts-expect-error and contains nothing
      void thingsOf.find({ score: { contains: 1 } })
    }
  })

  test('null means IS NULL for every type that may be null', () => {
    for (const { repository } of [toySession, {} as Session]) {
      void repository(samples).find({ aJson: null, aJsonb: null, aPoint: null, aMoney: null, aDocument: null })
      void repository(samples).find({ integers: null, aText: null, documents: null, aBoolean: null })
      void repository(heavy).find({ doubled: '1', title: 'a' })
      // @ts-expect-error a column that is never null is not compared with null
      void repository(exhibits).find({ title: null })
    }
  })

  test('keys of the wrong shape', () => {
    // @ts-expect-error the key is one number
    void shopSession.repository(products).get('1')
    // @ts-expect-error the key has a position too
    void repository(shelves).get({ room: 'A' })
    // @ts-expect-error the key is an object
    void repository(shelves).get('A')
    // @ts-expect-error a bigint key is no number
    void repository(exhibits).remove(1)
  })

  test('writes to generated and kept columns', () => {
    // @ts-expect-error area is generated
    void repository(shelves).update({ room: 'A', position: 1 }, { area: 1 })
    // @ts-expect-error an identity that is always generated is not given
    void repository(exhibits).insert({ id: 1n, title: 'x' })
    // @ts-expect-error the version is kept by the convention
    void repository(notes).update('id', { version: 2 })
    // @ts-expect-error a column that must have a value needs one
    void repository(exhibits).insert({ rank: 1 })
    void repository(words).update('a', { uses: sql`${words.uses} + 1` })
    void repository(words).insert({ word: sql`lower('A')`, uses: sql`1 + 1` })
    void repository(words).upsert({ word: sql`lower('A')` }, { update: ['uses'] })
    // @ts-expect-error area is generated, also by SQL
    void repository(shelves).insert({ room: 'A', position: 1, area: sql`1` })
  })

  test('operations the table does not have', () => {
    // @ts-expect-error a view is read-only
    void repository(titles).insert({ title: 'x' })
    // @ts-expect-error a view is read-only
    void repository(titles).remove(1n)
    // @ts-expect-error a view without a key has no get
    void repository(heavy).get(1n)
    // @ts-expect-error a table without a key is read-only
    void repository(lines).insert({ line: 'x' })
    // @ts-expect-error words have no soft delete
    void repository(words).restore('a')
    // @ts-expect-error words have no removed rows
    void repository(words).list({ removed: 'include' })
    // @ts-expect-error words have no version
    void repository(words).update('a', { uses: 1 }, { ifVersion: 1 })
    // @ts-expect-error a relation to one row has no limit
    void repository(exhibits).list({ with: { parent: { limit: 1 } } })
  })

  test('conventions of columns that do not exist', () => {
    const table = pgTable('some', { id: text('id').primaryKey() })
    // @ts-expect-error there is no column version
    conventions(table, { version: 'version' })
    // @ts-expect-error a key is made of columns
    conventions(table, { key: ['nane'] })
  })

  test('conventions of columns that cannot keep them', () => {
    const table = pgTable('some', {
      id: text('id').primaryKey(),
      optional: integer('optional'),
      needed: timestamp('needed').notNull(),
      counted: bigint('counted', { mode: 'bigint' }).notNull(),
      text: timestamp('text', { mode: 'string' }),
    })
    // @ts-expect-error text is not counted
    conventions(table, { version: 'id' })
    // @ts-expect-error a version always has a value
    conventions(table, { version: 'optional' })
    // @ts-expect-error the time of a write is a timestamp
    conventions(table, { updatedAt: 'optional' })
    // @ts-expect-error a row that is not removed has no time for it
    conventions(table, { removedAt: 'needed' })
    conventions(table, { version: 'counted', updatedAt: 'needed', removedAt: 'text' })
  })
})
