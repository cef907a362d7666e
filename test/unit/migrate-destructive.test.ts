import { describe, expect, test } from 'vitest'
import { destructiveSteps } from '../../src/migrate/files/destructive.ts'
import { parseScript } from '../../src/migrate/files/script.ts'

const steps = async (sql: string) => destructiveSteps(await parseScript(sql)).map(({ step }) => step)

describe('destructiveSteps', () => {
  test.each([
    ['drop table t, s.u', ['drops table t', 'drops table s.u']],
    ['drop database d', ['drops database d']],
    ['drop owned by r', ['drops everything that its roles own']],
    ['drop view v cascade', ['drops with CASCADE v']],
    ['truncate t, u', ['empties table t', 'empties table u']],
    ['with gone as (delete from t returning id) select * from gone', ['deletes rows of t']],
    ['merge into t using u on t.id = u.id when matched then delete', ['changes rows of t']],
    ['alter table t drop column a, alter column b type int', ['drops column a of t', 'changes the type of b of t']],
    ["do $$ begin execute 'drop table t'; end $$", ['runs a DO block that holds EXECUTE, DROP']],
    ['call tidy()', ['calls a procedure']],
  ])('names what is lost by: %s', async (sql, expected) => {
    expect(await steps(sql)).toEqual(expected)
  })

  test.each(['drop view v', 'drop index i', 'alter table t drop constraint c', 'do $$ begin perform 1; end $$'])(
    'has nothing to say of: %s',
    async (sql) => {
      expect(await steps(sql)).toEqual([])
    },
  )
})
