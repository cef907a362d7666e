/** The shop's typed repositories: the operations that have a name there. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { UniqueViolation } from '../../src/errors.ts'
import { customerRepository, userRepository } from '../../src/shop/repositories.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop

beforeAll(async () => {
  shop = await openTestShop()
})
afterAll(() => shop[Symbol.asyncDispose]())

test('a user is found by an address in any case, and no two have the same', async () => {
  const written = await shop.engine.session((session) =>
    userRepository(session).insert({ email: 'Grace.Hopper@Example.com', role: 'staff' }),
  )
  expect(written).toMatchObject({ email: 'Grace.Hopper@Example.com', role: 'staff' })
  const { found, nobody, customer } = await shop.engine.gather({
    found: (session) => userRepository(session).findByEmail('grace.hopper@EXAMPLE.com'),
    nobody: (session) => userRepository(session).findByEmail('grace.hopper@example.org'),
    customer: (session) => customerRepository(session).findByName('Lynn'),
  })
  expect(found).toEqual(written)
  expect(nobody).toBeUndefined()
  expect(customer).toMatchObject({ id: 1, job: 'Backend Developer' })
  const again = shop.engine.session((session) => userRepository(session).insert({ email: 'GRACE.HOPPER@example.com' }))
  await expect(again).rejects.toThrow(UniqueViolation)
})

test('an account is patched and removed by its key', async () => {
  await shop.engine.transaction(async (session) => {
    const accounts = userRepository(session)
    const { id } = await accounts.insert({ email: 'ada@example.com' })
    expect(await accounts.update(id, { role: 'admin' })).toMatchObject({ id, role: 'admin' })
    await accounts.remove(id)
    expect(await accounts.findByEmail('ada@example.com')).toBeUndefined()
  })
})
