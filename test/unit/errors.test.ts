/** Every error has a code of its own, and blames whom it should. */
import { describe, expect, expectTypeOf, test } from 'vitest'
import * as rivulet from '../../src/index.ts'
import * as errors from '../../src/errors.ts'
import { asRivuletError, DatabaseError, type ErrorCode, InternalError, RivuletError } from '../../src/errors.ts'
import * as migrate from '../../src/migrate/index.ts'

type ErrorClass = new (...given: never[]) => RivuletError

const classes = Object.entries(errors).filter(
  (entry): entry is [string, ErrorClass & (typeof entry)[1]] =>
    typeof entry[1] === 'function' && entry[1].prototype instanceof RivuletError,
)

/** What each takes that does not take a message first. */
const given: Readonly<Record<string, readonly unknown[]>> = {
  MigrationRefused: ['pending', 'text'],
  PackageMissing: ['missing', { packages: ['zod@4'] }],
}
const made = classes.map(([name, Class]) => {
  const options = { sqlState: 'XX000', phase: 'task', spentMs: {}, port: 1 }
  return {
    name,
    error: new (Class as unknown as new (...all: unknown[]) => RivuletError)(...(given[name] ?? ['text', options])),
  }
})

describe('every error', () => {
  test.each(made)('$name has its name as its code, in the form of PostgreSQL', ({ name, error }) => {
    const short: Readonly<Record<string, string>> = { UsageError: 'usage', InternalError: 'internal' }
    expect(error.code).toBe(short[name] ?? name.replaceAll(/(?!^)[A-Z]/g, '_$&').toLowerCase())
    expect(error.name).toBe(name)
  })

  test.each(made)('$name is exported from rivulet', ({ name, error }) => {
    expect(Object.entries(rivulet)).toContainEqual([name, error.constructor])
  })

  test('has a code that no other one has', () => {
    expect(new Set(made.map(({ error }) => error.code)).size).toBe(made.length)
  })
})

test('what is thrown for migrations is exported beside them, too, and refused is not failed', () => {
  expect(migrate.MigrationRefused).toBe(rivulet.MigrationRefused)
  expect(migrate.MigrationFailed).toBe(rivulet.MigrationFailed)
  expect(new rivulet.MigrationRefused('pending', 'text')).not.toBeInstanceOf(rivulet.MigrationFailed)
})

test('the codes of the server are literal in the type of their class', () => {
  expectTypeOf<rivulet.UniqueViolation['code']>().toEqualTypeOf<'unique_violation'>()
  expectTypeOf<DatabaseError['code']>().toExtend<ErrorCode>()
  // @ts-expect-error no error of the server has this code
  const code: DatabaseError['code'] = 'not_found'
  expect(made.find(({ error }) => error.code === code)?.error).not.toBeInstanceOf(DatabaseError)
})

test('a foreign error where ours is promised is a fault of ours, and not of the caller', () => {
  const cause = new TypeError('x is not a function')
  expect(asRivuletError(cause)).toBeInstanceOf(InternalError)
  expect(asRivuletError(cause)).toMatchObject({ code: 'internal', message: cause.message, cause })
})
