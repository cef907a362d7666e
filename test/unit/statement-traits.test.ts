/** Which statements may have changed their server session, and which ones belong to `session.transaction`. */
import { describe, expect, test } from 'vitest'
import { changesSession, statementTraits } from '../../src/lease/statement-traits.ts'

const changes = (command: string, text: string) => changesSession(command, statementTraits(text))

describe('a session is left as it was by', () => {
  test.each([
    ['SELECT', 'select * from accounts where id = $1'],
    ['SELECT', 'select created_at, temperature from settings'],
    ['SELECT', "select current_setting('app.tenant', true)"],
    ['SELECT', "select set_config('app.tenant', $1, true)"],
    ['SELECT', "select set_config('a.b', $1, true), set_config('a.c', $2, TRUE)"],
    ['SELECT', 'select pg_advisory_xact_lock(1)'],
    ['INSERT', 'insert into notes (temp) values ($1)'],
    ['UPDATE', 'update settings set value = $1'],
    ['DELETE', 'delete from listeners'],
    ['MERGE', 'merge into a using b on a.id = b.id when matched then delete'],
    ['EXPLAIN', 'explain select 1'],
    ['SHOW', 'show work_mem'],
    ['LOCK TABLE', 'lock table accounts'],
    ['SET', 'set local work_mem = 1'],
    ['SET', '  SET TRANSACTION isolation level serializable'],
    ['SET CONSTRAINTS', 'set constraints all deferred'],
  ])('%s: %s', (command, text) => {
    expect(changes(command, text)).toBe(false)
  })
})

describe('a session may be changed by', () => {
  test.each([
    ['SET', "set work_mem = '5MB'"],
    ['SET', 'set session characteristics as transaction read only'],
    ['SET', 'set role somebody'],
    ['SET', '/* local */ set work_mem = 1'],
    ['RESET', 'reset all'],
    ['LISTEN', 'listen news'],
    ['PREPARE', 'prepare p as select 1'],
    ['CREATE TABLE', 'create temp table t (id int)'],
    ['SELECT', 'create temporary table t as select 1'],
    ['SELECT', 'create /* c */ temp table t as select 1'],
    ['SELECT', 'create -- c\n  local\ttemp table t as select 1'],
    ['SELECT', 'CREATE LOCAL TEMP TABLE t AS TABLE accounts'],
    ['SELECT', 'select 1 into temp t'],
    ['SELECT', "select set_config('work_mem', '5MB', false)"],
    ['SELECT', 'select set_config($1, $2, $3)'],
    ['SELECT', "select set_config('a.b', '1', true), set_config('work_mem', '5MB', false)"],
    ['SELECT', 'select pg_advisory_lock(1)'],
    ['SELECT', 'select pg_catalog.pg_try_advisory_lock_shared(1)'],
    ['SELECT', 'select setseed(0.5)'],
    ['DO', 'do $$ begin end $$'],
    ['CALL', 'call procedure()'],
    ['DECLARE CURSOR', 'declare c cursor with hold for select 1'],
  ])('%s: %s', (command, text) => {
    expect(changes(command, text)).toBe(true)
  })
})

describe('transaction control', () => {
  test.each([
    'begin',
    ' COMMIT',
    'End',
    'rollback to savepoint x',
    '-- so\nstart transaction',
    '/* a */ /* b */ abort',
    'release x',
    "prepare transaction 'x'",
  ])('is %j', (text) => {
    expect(statementTraits(text).controlsTransaction).toBe(true)
  })

  test.each([
    'select 1 -- commit',
    'prepare p as select 1',
    'select begin from t',
    'beginning',
    'endless',
    'set transaction read only',
  ])('is not %j', (text) => {
    expect(statementTraits(text).controlsTransaction).toBe(false)
  })
})
