/** What spans and metrics are named by: the operations and tables of a statement, and its text without literals. */
import { assert, constantFrom, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { querySummary } from '../../src/observe/query-summary.ts'
import { sqlTokens } from '../../src/observe/sql-tokens.ts'

describe('the summary of a statement', () => {
  test.each([
    // Those of the conventions.
    ['SELECT * FROM wuser_table WHERE username = ?', 'SELECT wuser_table'],
    [
      'INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders WHERE order_id = $1',
      'INSERT shipping_details SELECT orders',
    ],
    ['SELECT * FROM songs, artists WHERE songs.artist_id = artists.id', 'SELECT songs artists'],
    [
      'SELECT order_date FROM (SELECT * FROM orders o JOIN customers c ON o.customer_id = c.customer_id)',
      'SELECT SELECT orders customers',
    ],
    ['SELECT * FROM "song list"', 'SELECT "song list"'],
    ['call some_procedure($1)', 'call some_procedure'],
    // Those of Drizzle.
    ['select "id", "name" from "authors" where "authors"."id" = $1 limit $2', 'select authors'],
    ['insert into "authors" ("id", "name") values (default, $1) returning "id"', 'insert authors'],
    ['insert into "app"."authors"("id") values ($1) on conflict ("id") do update set "id" = $2', 'insert app.authors'],
    ['update "authors" set "name" = $1 from "books" where "books"."author" = "authors"."id"', 'update authors books'],
    ['delete from "authors" using "books" where "authors"."id" = $1', 'delete authors books'],
    [
      'select "users"."id", "users_posts"."data" from "users" left join lateral (select coalesce(json_agg(1), $1) as ' +
        '"data" from (select * from "posts" "users_posts" where "users_posts"."author" = "users"."id") "users_posts") on true',
      'select users select select posts',
    ],
    // What is no table.
    ['select extract(epoch from created), trim(both from name) from t', 'select t'],
    ['select a is distinct from b, substring(name from 2) from t for update of t', 'select t'],
    ['select * from generate_series(1, 3) g, unnest($1::int[]) u, t', 'select t'],
    ['select * from a join b using (id) left join only c on true, d', 'select a b c d'],
    ['with x (n) as (select 1 from a), y as materialized (select 2) select * from x, y, b', 'select a select select b'],
    ['with gone as (delete from a returning *) insert into b select * from gone', 'delete a insert b select'],
    [
      'merge into a using b on a.id = b.id when matched then update set n = 1 when not matched then insert values (1)',
      'merge a b',
    ],
    ['select * from (values (1), (2)) v, a', 'select a'],
    ['/* why */ -- and how\n select 1', 'select'],
    ['/* a /* from x */ from y */ select 1 from t', 'select t'],
    ['select $é$ from x $é$ from t', 'select t'],
    ['select 1 /* cut', 'select'],
    ['truncate table only a, b', 'truncate a'],
    ['create table if not exists a (id int)', 'create table a'],
    ['alter table a add column b int', 'alter table a'],
    ['set local work_mem = 1', 'set'],
    ['values (1)', 'values'],
    ['table a', 'table a'],
    ["select * from t where name = 'from secrets' and $q$ from more $q$ = ''", 'select t'],
    ['frobnicate the widgets', undefined],
    ['', undefined],
  ])('%s', (text, summary) => {
    expect(querySummary(text).summary).toBe(summary)
  })

  test('has an operation and a table where there is one', () => {
    expect(querySummary('select * from a')).toMatchObject({ operation: 'select', collection: 'a' })
    expect(querySummary('select * from a, b')).toMatchObject({ operation: 'select', collection: undefined })
    expect(querySummary('insert into a select * from a')).toMatchObject({ operation: undefined, collection: undefined })
    expect(querySummary('select * from a where id in (select id from a)')).toMatchObject({
      operation: 'select',
      collection: 'a',
    })
  })

  test('has at most 255 characters, and no part of a name', () => {
    const names = Array.from({ length: 40 }, (_, index) => `table_${index}`)
    const summary = querySummary(`select * from ${names.join(', ')}`).summary ?? ''
    expect(summary.length).toBeLessThanOrEqual(255)
    expect(['select', ...names]).toEqual(expect.arrayContaining(summary.split(' ')))
  })
})

describe('the text', () => {
  test.each([
    [
      "select 'it''s', E'a\\'b', 1.5e3, 0xff, .5, $1, a1 from t limit 10",
      'select ?, ?, ?, ?, ?, $1, a1 from t limit ?',
    ],
    ["select $$a 'b' $$, $tag$ $$ x $tag$, U&'d', b'1', \"a'b\" from t", 'select ?, ?, ?, ?, "a\'b" from t'],
    ['select 1 /* password 7 */ from t -- 4711', 'select ? from t'],
    ['select /* a /* b */ SECRET */ 1', 'select ?'],
  ])('%s has no literal and no comment', (text, sanitized) => {
    expect(querySummary(text).text).toBe(sanitized)
  })

  test('is cut when it is long, also inside of a literal', () => {
    const { text, summary } = querySummary(`insert into a values ('${'secret'.repeat(10_000)}')`)
    expect(summary).toBe('insert a')
    expect(text).toBe('insert into a values (?…')
    expect(querySummary(`select ${'a, '.repeat(5000)} b from t`).text.length).toBeLessThan(4200)
  })

  test('never has what stands in quotes, whatever stands there', () => {
    assert(
      property(string(), constantFrom("'", '$$', '$x$'), (value, quote) => {
        const literal = quote === "'" ? value.replaceAll("'", "''") : value.replaceAll('$', '')
        expect(querySummary(`select a from b where c = ${quote}${literal}${quote} and d`).text).toBe(
          'select a from b where c = ? and d',
        )
      }),
    )
  })

  test('is taken apart into its tokens, whatever it is', () => {
    assert(
      property(string({ unit: 'binary' }), (text) => {
        const tokens = sqlTokens(text).map((token) => token.text)
        expect(tokens.join('')).toBe(text)
      }),
    )
  })
})
