/** Where the statements of a text end: what PostgreSQL's own parser says. */
import * as fc from 'fast-check'
import { parse } from 'libpg-query'
import { describe, expect, test } from 'vitest'
import { statementsOf } from '../../src/drizzle/script-query.ts'

async function parsed(text: string): Promise<readonly string[]> {
  const { stmts = [] } = (await parse(text)) as { stmts?: { stmt_location?: number; stmt_len?: number }[] }
  const bytes = Buffer.from(text)
  return stmts.map(({ stmt_location: start = 0, stmt_len: length }) =>
    bytes.subarray(start, length ? start + length : undefined).toString(),
  )
}

const trimmed = (statements: readonly string[]) => statements.map((statement) => statement.trim())

/** Statements that have semicolons which end nothing. */
const statements = [
  `select 1`,
  `select ';', ';''; select 2'`,
  `select E'it\\'s; \\\\', e'\\\\'`,
  `select ";""; " from (select 1 as ";""; ") x`,
  `select $$;'$$, $a$ $$; $b$ ; $a$, 1 as a$b$`,
  `select 1 -- ; 'a`,
  `select /* ; /* ; */ ' */ 1`,
  `create rule r as on insert to t do also (delete from a; delete from b)`,
  `create function f(x int) returns int language sql begin atomic select 1; select case x when 1 then 2 end; end`,
  `create function f() returns int language plpgsql as $é$ begin perform 1; return 2; end; $é$`,
  `do $$ begin commit; end $$`,
  `select 'é;ü' as "ö;"`,
  `commit`,
]

const script = fc
  .array(
    fc.tuple(fc.constantFrom(...statements), fc.constantFrom(';', ' ;\n', ';;', '; -- and;\n', '; /* then; */ ')),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  .chain((parts) =>
    fc.constantFrom('', ';', ' -- the end;', '\n').map((end) => {
      // A line comment ends with its line only.
      return parts.map(([statement, separator]) => `${statement}\n${separator}`).join('') + end
    }),
  )

describe('a script is taken apart', () => {
  test('where PostgreSQL’s parser ends its statements', async () => {
    await fc.assert(
      fc.asyncProperty(script, async (text) => {
        const expected = await parsed(text)
        const found = statementsOf(text)
        expect(found).toHaveLength(expected.length)
        expect(trimmed(found).map(withoutComments)).toEqual(trimmed(expected).map(withoutComments))
      }),
    )
  })

  test.each(['', ' ', ';', '-- nothing', '/* nothing; */ ;', "'", '"', '$$', '/*', "e'\\"])(
    'into at most one statement: %j',
    (text) => {
      expect(statementsOf(text).length).toBeLessThan(2)
    },
  )

  test('of many megabytes as well', () => {
    const large = 'x; '.repeat(1_000_000)
    expect(
      statementsOf(`select '${large}'; select e'${large}'; select $$${large}$$; select /*${large}*/ 1`),
    ).toHaveLength(4)
    expect(statementsOf(large)).toHaveLength(1_000_000)
  })
})

/** Comments before a statement belong to it or to the one before. */
function withoutComments(statement: string): string {
  return statement.replaceAll(/^(?:\s|--[^\n]*\n?|\/\* then; \*\/)+|(?:\s|--[^\n]*)+$/g, '')
}
