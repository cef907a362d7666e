/** Factories of `rivulet/testing`: the same rows in every run, as a test wants them. */
import { integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { expect, expectTypeOf, test } from 'vitest'
import { openEngine } from '../../src/engine.ts'
import { InvalidInput, UniqueViolation, UsageError } from '../../src/errors.ts'
import { defineFactory } from '../../src/testing/factory.ts'
import { seededRandom } from '../../src/testing/seeded-random.ts'
import { openTestDatabase, scriptTemplate } from '../support/database.ts'

const people = pgTable('people', {
  id: integer().generatedAlwaysAsIdentity().primaryKey(),
  email: text().notNull().unique(),
  age: integer().notNull(),
  token: uuid().notNull(),
  note: text(),
})
const person = defineFactory(people, (n, random) => ({
  email: `person${n}@example.org`,
  age: random.integer(18, 90),
  token: random.uuid(),
}))
const template = scriptTemplate(
  'people',
  `create table people (id int generated always as identity primary key, email text not null unique, age int not null,
   token uuid not null, note text)`,
)

test('the nth row is the same in every run, whatever was made before, and another one under another seed', () => {
  const three = () => {
    const factory = person.seeded(7)
    return [factory.build(), factory.build({ note: 'x' }), factory.build()]
  }
  const [first, second, third] = three()
  expect(three()).toEqual([first, second, third])
  expect(second).toMatchObject({ email: 'person2@example.org', note: 'x' })
  expect(new Set([first?.token, second?.token, third?.token]).size).toBe(3)
  expect(person.seeded(8).build()).not.toEqual(first)
  // Written down once: a change would change the rows of everybody's tests.
  expect(person.seeded(7).build()).toMatchInlineSnapshot(`
    {
      "age": 63,
      "email": "person1@example.org",
      "token": "dd3a5bf2-6345-4494-8d77-0350c90e0165",
    }
  `)
})

test('rows are inserted and returned as stored, typed as the table, with what the test gives', async () => {
  await using database = await openTestDatabase(template)
  await using engine = await openEngine({ schema: { people }, url: database.url, pool: { max: 2 } })
  const factory = person.seeded()
  await engine.transaction(async (session) => {
    const one = await factory.create(session, { age: 44 })
    expectTypeOf(one).toEqualTypeOf<typeof people.$inferSelect>()
    expect(one).toEqual({ id: 1, email: 'person1@example.org', age: 44, token: expect.any(String), note: null })
    const more = await factory.createMany(session, 3, { note: 'one of three' })
    expect(more.map(({ email, note }) => [email, note])).toEqual([
      ['person2@example.org', 'one of three'],
      ['person3@example.org', 'one of three'],
      ['person4@example.org', 'one of three'],
    ])
    expect(await factory.createMany(session, 0)).toEqual([])
  })
  const twice = engine.session((session) => factory.createMany(session, 2, { email: 'same@example.org' }))
  await expect(twice).rejects.toBeInstanceOf(UniqueViolation)
  expect(await engine.session(({ repository }) => repository(people).count())).toBe(4)
  // @ts-expect-error there is no such column
  void (() => factory.build({ name: 'x' }))
  // @ts-expect-error the age is missing
  void (() => defineFactory(people, (n) => ({ email: `${n}`, token: '' })))
})

test('what cannot be meant is refused', async () => {
  expect(() => defineFactory(people, undefined as never)).toThrow(UsageError)
  expect(() => person.seeded(0.5)).toThrow(InvalidInput)
  await expect(person.createMany({} as never, -1)).rejects.toBeInstanceOf(InvalidInput)
})

test('random values are spread over all that there are', () => {
  const random = seededRandom('spread')
  const counts = new Map<number, number>()
  for (let n = 0; n < 6000; n += 1) {
    const value = random.integer(1, 6)
    counts.set(value, (counts.get(value) ?? 0) + 1)
  }
  expect([...counts.keys()].sort()).toEqual([1, 2, 3, 4, 5, 6])
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150)
  expect(new Set(Array.from({ length: 1000 }, () => random.uuid())).size).toBe(1000)
  expect(random.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(['a', 'b']).toContain(random.pick(['a', 'b']))
  // The first values of near seeds have nothing to do with each other.
  const first = Array.from({ length: 1000 }, (_, n) => seededRandom(`1 people ${n}`).number())
  expect(Math.abs(first.reduce((sum, each) => sum + each, 0) / 1000 - 0.5)).toBeLessThan(0.05)
})
