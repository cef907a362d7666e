/** Domain repositories: the operations of a table and methods of one's own. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Session } from '../../src/repository/session.ts'
import { defineRepository } from '../../src/repository/define-repository.ts'
import { openToy, type Toy } from '../support/toy.ts'
import type * as schema from '../support/toy-schema.ts'
import { words } from '../support/toy-schema.ts'

let toy: Toy

beforeAll(async () => {
  toy = await openToy()
})

afterAll(async () => {
  await toy[Symbol.asyncDispose]()
})

function inSession<T>(task: (session: Session<typeof schema>) => Promise<T>): Promise<T> {
  return toy.engine.session(task)
}

test('only the session of a task will do', () => {
  const wordsOf = defineRepository(words, () => ({}))
  for (const wrong of [undefined, {}, toy.engine, 'session']) {
    expect(() => wordsOf(wrong as never)).toThrow(/takes the session of a task/)
  }
})

test('methods are those of their session, in every session', async () => {
  const wordsOf = defineRepository(words, (base, session) => ({
    pids: async () => [session.backendPid, (await session.sql<{ pid: number }>`select pg_backend_pid() pid`)[0]?.pid],
    known: (word: string) => base.exists(word),
  }))
  for (const word of ['first', 'second']) {
    await inSession(async (session) => {
      const { insert, known, pids } = wordsOf(session)
      await insert({ word })
      expect([await known(word), await known('none')]).toEqual([true, false])
      expect(await pids()).toEqual([session.backendPid, session.backendPid])
    })
  }
})

test('a method named like an operation takes its place, also one of a class, and base keeps the original', async () => {
  const missing = defineRepository(words, (base) => ({ get: (word: string) => base.find(word) }))
  const counting = defineRepository(
    words,
    (base) =>
      new (class {
        calls = 0
        find(word: string) {
          this.calls += 1
          return base.get(word)
        }
      })(),
  )
  await inSession(async (session) => {
    expect(await missing(session).get('none')).toBeUndefined()
    const counted = counting(session)
    await expect(counted.find('none')).rejects.toMatchObject({ code: 'not_found' })
    expect([counted.calls, counting(session).calls]).toEqual([1, 0])
  })
})

test('may have other methods in one session than in another', async () => {
  const wordsOf = defineRepository(words, (_, session): { quick?: () => number; slow?: () => number } =>
    session.inTransaction ? { slow: () => 2 } : { quick: () => 1 },
  )
  await inSession(async (session) => {
    const outside = wordsOf(session)
    const inside = await session.transaction(async (nested) => wordsOf(nested))
    expect([outside.quick?.(), outside.slow, inside.quick, inside.slow?.()]).toEqual([1, undefined, undefined, 2])
    expect(wordsOf(session).quick?.()).toBe(1)
  })
})

test('a test may put another method in the place of one', async () => {
  const wordsOf = defineRepository(words, () => ({ one: (): number => 1 }))
  await inSession(async (session) => {
    const repo = wordsOf(session)
    repo.one = () => 2
    expect([repo.one(), wordsOf(session).one()]).toEqual([2, 1])
  })
})
