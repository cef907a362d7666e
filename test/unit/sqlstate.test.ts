/** Errors of the server become typed errors, and no value of a row or a parameter comes along. */
import { describe, expect, test } from 'vitest'
import { RivuletError } from '../../src/errors.ts'
import { fromServerError, isServerError, type ServerError, sqlStateOf } from '../../src/sqlstate.ts'
import { everythingIn } from '../support/invariants.ts'

const error = (code: string, more: Partial<ServerError> = {}) =>
  fromServerError({ code, message: 'the message', severity: 'ERROR', ...more })

describe('a SQLSTATE', () => {
  test.each([
    ['23505', 'unique_violation', false],
    ['23P01', 'unique_violation', false],
    ['23503', 'foreign_key_violation', false],
    ['23001', 'foreign_key_violation', false],
    ['23502', 'not_null_violation', false],
    ['23514', 'check_violation', false],
    ['40001', 'serialization_failure', true],
    ['40P01', 'deadlock_detected', true],
    ['55P03', 'lock_timeout', true],
    ['57014', 'statement_timeout', false],
    ['22P02', 'invalid_input', false],
    ['22001', 'invalid_input', false],
    ['22012', 'database_error', false],
    ['42P01', 'database_error', false],
    ['42501', 'insufficient_privilege', false],
    ['P0001', 'database_error', false],
    ['28P01', 'config_invalid', false],
    ['3D000', 'config_invalid', false],
  ])('%s is %s', (code, expected, retryable) => {
    expect(error(code)).toMatchObject({ code: expected, retryable })
    expect(error(code)).toBeInstanceOf(RivuletError)
  })

  test('is found in an error of the server and behind one, and not in an error of Node', () => {
    const behind = (code: string) => new Error('refused', { cause: Object.assign(new Error('cause'), { code }) })
    expect([error('23505'), behind('53300'), error('28P01')].map(sqlStateOf)).toEqual(['23505', '53300', '28P01'])
    expect([behind('EPIPE'), behind('ECONNREFUSED'), new Error('none'), '23505', null].map(sqlStateOf)).toEqual(
      Array.from({ length: 5 }, () => undefined),
    )
  })

  test('of a parameter that cannot be read names what the parameter is for', () => {
    const where = "JSON data, line 1: unnamed portal parameter $1\nunnamed portal parameter $2 = '...'"
    const given = { code: '22P02', message: 'invalid input', severity: 'ERROR', where }
    expect(fromServerError(given, ['a', 'b'])).toMatchObject({ path: ['b'], message: 'b: invalid input' })
    expect(fromServerError(given, ['a'])).toMatchObject({ path: [], message: 'invalid input' })
    expect(fromServerError(given)).toMatchObject({ path: [] })
    expect(fromServerError({ ...given, code: '42601' }, ['a', 'b'])).toMatchObject({
      code: 'invalid_input',
      path: ['b'],
    })
    // What the role may not look at says nothing of the value, and what fails elsewhere is no value.
    expect(fromServerError({ ...given, code: '42501' })).toMatchObject({ code: 'insufficient_privilege' })
    expect(fromServerError({ ...given, code: '57014', where })).toMatchObject({ sqlState: '57014' })
    expect(fromServerError({ ...given, code: '42601', where: 'SQL statement' })).toMatchObject({ sqlState: '42601' })
  })

  test.each([
    ['57P01', 'FATAL', 'connection_lost'],
    ['57P03', 'FATAL', 'connection_lost'],
    ['25P03', 'FATAL', 'connection_lost'],
    ['25P04', 'FATAL', 'connection_lost'],
    ['XX000', 'PANIC', 'connection_lost'],
    ['28P01', 'FATAL', 'config_invalid'],
    ['08006', 'ERROR', 'database_error'],
    ['08001', 'ERROR', 'database_error'],
  ])('%s with severity %s is %s: what ends a connection is the severity', (code, severity, expected) => {
    expect(error(code, { severity })).toMatchObject({ code: expected })
  })
})

test('a value with quotation marks that fails in the course of a statement is not taken for a name of it', () => {
  const query = `select to_regtype($1), ''`
  const message = 'syntax error at or near "" SECRET ""'
  const where = 'invalid type name "a" SECRET "b"'
  expect(error('42601', { query, message, where }).message).not.toContain('SECRET')
  expect(error('42703', { query: 'select "a b"', message: 'column "a b" does not exist' }).message).toContain('"a b"')
})

describe('what is kept', () => {
  test('is where in the schema it happened', () => {
    const names = { schema_name: 'public', table_name: 'users', constraint_name: 'users_email_key' }
    expect(error('23505', { ...names, detail: 'Key (tenant, "e mail")=(1, SECRET) already exists.' })).toMatchObject({
      sqlState: '23505',
      schema: 'public',
      table: 'users',
      columns: ['tenant', 'e mail'],
      constraint: 'users_email_key',
    })
    expect(error('23502', { column_name: 'name' })).toMatchObject({ columns: ['name'] })
  })

  test.each([
    ['Key (a, b)=(1, 2) already exists.', ['a', 'b']],
    ['Key ("A ""b"", c", d)=(1, 2) already exists.', ['A "b", c', 'd']],
    ['Key ("a(b)=(c")=(1) already exists.', ['a(b)=(c']],
    ['Key (boss id)=(1) is not present in table "boss".', ['boss id']],
    ['Key (lower(email))=(x) already exists.', []],
    [`Key (COALESCE(email, 'a=b'::text), id)=(x, 1) already exists.`, []],
    [`Key (a, (b || ')=('::text))=(1, x) already exists.`, []],
  ])('is which columns: %s', (detail, columns) => {
    expect(error('23505', { detail })).toMatchObject({ columns })
  })

  test('is which row is still referenced, and by which constraint', () => {
    const names = { schema_name: 'public', table_name: 'emp', constraint_name: 'emp_boss' }
    const detail = 'Key (id)=(7) is still referenced from table "emp".'
    for (const [code, kind] of [
      ['23503', 'foreign key'],
      ['23001', 'RESTRICT setting of foreign key'],
    ] as const) {
      const message = `update or delete on table "boss" violates ${kind} constraint "emp_boss" on table "emp"`
      const referenced = error(code, { ...names, message, detail })
      expect(referenced).toMatchObject({ table: 'boss', schema: undefined, columns: ['id'], constraint: 'emp_boss' })
      expect(referenced.message).toBe('the row is still referenced (table emp, constraint emp_boss)')
    }
  })

  test('is a cause with SQLSTATE, severity, hint and names', () => {
    expect(error('42P01', { hint: 'a hint', routine: 'r' }).cause).toMatchObject({
      name: 'PostgresError',
      code: '42P01',
      severity: 'ERROR',
      hint: 'a hint',
      routine: 'r',
    })
  })
})

describe('what is not kept', () => {
  test.each([
    ['the detail of a violation', error('23505', { detail: 'Key (email)=(SECRET) already exists.' })],
    ['the message of a violation', error('23514', { message: 'row "SECRET" violates' })],
    ['text that is no number', error('22P02', { message: 'invalid input syntax for type integer: "SECRET"' })],
    ['text with a quote in it', error('22P02', { message: 'invalid input syntax for type integer: "1" SECRET "2"' })],
    ['text in the quotes of other languages', error('22P02', { message: 'ungültige Eingabe: „SECRET“' })],
    ['text in guillemets', error('22P02', { message: 'syntaxe en entrée invalide : « SECRET »' })],
    ['the detail of any error', error('42601', { detail: 'SECRET' })],
  ])('%s', (_name, typed) => {
    expect(everythingIn(typed)).not.toContain('SECRET')
  })
})

test('only errors of the server are taken for such', () => {
  const posing = Object.assign(new Error('x'), { name: 'PostgresError', code: '23505' })
  expect([isServerError(posing), isServerError(new Error('x')), isServerError({ code: '23505' })]).toEqual([
    true,
    false,
    false,
  ])
})
