/** `expectPlan`: holds on tables of any size, and says what it found where it does not hold. */
import { AssertionError } from 'node:assert'
import { desc, eq, sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { products, reviews, users } from '../../schema/index.ts'
import { UsageError } from '../../src/errors.ts'
import { expectPlan } from '../../src/testing/expect-plan.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'
import { openToy, type Toy } from '../support/toy.ts'
import { shelves, words } from '../support/toy-schema.ts'

let shop: TestShop
let toy: Toy
beforeAll(async () => {
  ;[shop, toy] = await Promise.all([openTestShop(), openToy()])
})
afterAll(async () => {
  await shop[Symbol.asyncDispose]()
  await toy[Symbol.asyncDispose]()
})

describe('expectPlan', () => {
  test('finds the index that a query would use, though the tables are small or empty', async () => {
    await shop.engine.session(async (session) => {
      const bySku = expectPlan(session, ({ repository }) => repository(products).find({ sku: 'A-1' }))
      await bySku.toUseIndex('products_sku_unique')
      await bySku.toScanNoTable()
      const byEmail = fragment`select * from users where lower(email) = ${'a@b.example'}`
      await expectPlan(session, byEmail).toUseIndex('users_email_unique')
    })
    await toy.engine.session(async (session) => {
      const shelf = expectPlan(session, ({ repository }) => repository(shelves).find({ room: 'a', position: 1 }))
      await shelf.toUseIndex('Odd "shelves"_pkey')
      await shelf.toScanNoTable()
      await expectPlan(session, ({ repository }) => repository(words).list()).toSortNothing()
    })
  })

  test('fails with what the query uses instead, its statement and its plan', async () => {
    await shop.engine.session(async (session) => {
      const { db } = session
      const byKey = expectPlan(session, db.select().from(products).where(eq(products.id, 1)))
      const failure = await byKey.toUseIndex('products_sku_unique').catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(AssertionError)
      expect((failure as Error).message).toMatch(
        /^the query should use the index products_sku_unique, and it uses products_pkey\n\nselect .*\n\nIndex Scan of public.products by products_pkey/s,
      )
      const byText = expectPlan(session, db.select().from(reviews).where(eq(reviews.rating, 5)))
      await expect(byText.toScanNoTable()).rejects.toThrow('should read no table from end to end, and it uses no index')
      const sorted = expectPlan(session, db.select().from(products).orderBy(desc(products.name)))
      await expect(sorted.toSortNothing()).rejects.toThrow('should sort nothing')
    })
  })

  test('takes no index for used that is read from end to end for one of its entries', async () => {
    await shop.engine.session(async (session) => {
      const counted = fragment`select count(*) from products where upper(sku) = ${'A-1'}`
      await expect(expectPlan(session, counted).toUseIndex('products_sku_unique')).rejects.toThrow(AssertionError)
      await expect(expectPlan(session, counted).toScanNoTable()).rejects.toThrow(AssertionError)
      // In the order of the key, with a filter that no index fits: it may read all to find one.
      const filtered = expectPlan(session, ({ repository }) => repository(reviews).list({ where: { rating: 5 } }))
      await expect(filtered.toScanNoTable()).rejects.toThrow(AssertionError)
    })
  })

  test('changes nothing: neither the settings of the session, nor rows', async () => {
    await shop.engine.session(async (session) => {
      const { db, sql } = session
      const before = await db.$count(users)
      await expectPlan(
        session,
        db.delete(users).where(eq(users.id, '00000000-0000-0000-0000-000000000000')),
      ).toUseIndex('users_pkey')
      expect(await sql`show enable_seqscan`).toEqual([{ enable_seqscan: 'on' }])
      expect(await db.$count(users)).toBe(before)
    })
  })

  test('refuses what is no session', () => {
    for (const wrong of [undefined, {}, shop.engine]) {
      expect(() => expectPlan(wrong as never, fragment`select 1`)).toThrow(UsageError)
    }
  })
})
