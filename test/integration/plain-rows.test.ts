/** Rows that no Drizzle column describes: plain SQL, `db.execute` and expressions are read by the types of the answer. */
import { sql as fragment } from 'drizzle-orm'
import { integer, pgTable, pgView } from 'drizzle-orm/pg-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Config, type Engine, openEngine, UsageError } from '../../src/index.ts'
import { conventions } from '../../src/repository/types/conventions.ts'
import { Recorder } from '../support/bank.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'

const ones = pgTable('ones', { id: integer('id').primaryKey() })
const schema = { ones }
const ddl = String.raw`
create table ones (id integer primary key);
insert into ones values (1);
create type mood as enum ('ok', 'a,b', 'c:\temp', '{x,y}');
create type pair_t as (a integer, b text);
create domain even_t as integer check (value % 2 = 0);
create domain shown_t as even_t;
create domain list_t as integer[];
create extension citext;
`

let database: TestDatabase
beforeAll(async () => {
  const views = values.map(([type, literal], index) => {
    return `create view shown_${index} as select 1 as id, '${literal}'::${type} as value;`
  })
  database = await openTestDatabase(scriptTemplate('plain_rows', ddl + views.join('\n')))
})
afterAll(() => database[Symbol.asyncDispose]())

const open = (config: Partial<Config> = {}): Promise<Engine<typeof schema>> =>
  openEngine({ pool: { max: 1 }, ...config, url: database.url, schema })

const values: readonly (readonly [type: string, literal: string, value: unknown])[] = [
  ['json[]', String.raw`{"{\"a\": 1.50}",NULL,"[1, 2]"}`, [{ a: 1.5 }, null, [1, 2]]],
  ['jsonb[]', String.raw`{{"\"x\""},{"null"}}`, [['x'], [null]]],
  ['time[]', '{12:30,NULL}', ['12:30:00', null]],
  ['interval[]', '{1 day}', ['1 day']],
  ['inet[]', '{10.0.0.1,::1/64}', ['10.0.0.1', '::1/64']],
  ['point[]', '{"(1,2)","(3,4)"}', ['(1,2)', '(3,4)']],
  ['box[]', '{(1,1),(0,0);NULL;(3,3),(2,2)}', ['(1,1),(0,0)', null, '(3,3),(2,2)']],
  ['date[]', '{2024-02-29,infinity}', ['2024-02-29', 'infinity']],
  ['timestamp[]', '{2024-02-29 12:00}', ['2024-02-29 12:00:00']],
  ['numeric[]', '{1.10,NaN}', ['1.10', 'NaN']],
  ['int4range[]', '{"[1,3)",empty}', ['[1,3)', 'empty']],
  ['mood[]', String.raw`{ok,"a,b","c:\\temp",NULL,"{x,y}"}`, ['ok', 'a,b', String.raw`c:\temp`, null, '{x,y}']],
  ['citext[]', '{A,b}', ['A', 'b']],
  ['even_t[]', '{2,NULL,4}', [2, null, 4]],
  ['shown_t[]', '{{2},{4}}', [[2], [4]]],
  ['list_t', '{1,2}', [1, 2]],
  ['pair_t[]', '{"(1,x)",NULL}', ['(1,x)', null]],
  ['pair_t', '(1,x)', '(1,x)'],
  ['mood', '{x,y}', '{x,y}'],
  ['text', '{x,y}', '{x,y}'],
  ['int2vector', '1 2', '1 2'],
]

describe.each(values.map((entry, index) => [...entry, index] as const))('%s', (type, literal, value, index) => {
  test('is read by its type in an expression of a view', async () => {
    const view = conventions(
      pgView(`shown_${index}`).as((query) =>
        query.select({ id: fragment<number>`1`.as('id'), value: fragment<unknown>`null`.as('value') }).from(ones),
      ),
      { key: ['id'] },
    )
    await using engine = await open()
    await engine.session(async ({ repository }) => {
      const shown = repository(view)
      const row = { id: 1, value }
      const streamed: unknown[] = []
      for await (const found of shown.stream()) streamed.push(found)
      expect(streamed).toEqual([row])
      expect(await shown.get(1)).toEqual(row)
      expect((await shown.list()).rows).toEqual([row])
      expect((await shown.getMany([1])).rows).toEqual([row])
    })
  })

  test('is read by its type in every row without columns', async () => {
    await using engine = await open()
    const expression = fragment`${literal}::${fragment.raw(type)}`
    const query = fragment<{ value: unknown }>`select ${expression} as value`
    const [{ value: inView } = {}] = await engine.session(async ({ db, stream, sql }) => {
      const rows = await db.execute(query)
      const streamed: unknown[] = []
      for await (const row of stream(query)) streamed.push(row)
      const selected = await db.select({ value: expression }).from(ones)
      const extras = { value: fragment`${fragment.raw(`'${literal}'::${type}`)}`.as('value') }
      const found = await db.query.ones.findFirst({ columns: {}, extras })
      const tagged = await sql(template(`select '${literal}'::${type} as value`))
      expect({ streamed, selected, found, tagged: [...tagged] }).toEqual({
        streamed: [{ value }],
        selected: [{ value }],
        found: { value },
        tagged: [{ value }],
      })
      return rows
    })
    expect(inView).toEqual(value)
  })
})

describe('instants', () => {
  test('are Dates in plain SQL, alone and in arrays, and text for Drizzle', async () => {
    await using engine = await open()
    await engine.session(async ({ db, sql }) => {
      const [row] =
        await sql`select '2024-02-29 12:00+00'::timestamptz as one, '{2024-02-29 12:00+00,NULL,infinity}'::timestamptz[] as many`
      const at = new Date('2024-02-29T12:00:00Z')
      expect(row).toEqual({ one: at, many: [at, null, 'infinity'] })
      const [executed] = await db.execute(
        fragment`select '2024-02-29 12:00+00'::timestamptz as one, '{2024-02-29 12:00+00}'::timestamptz[] as many`,
      )
      expect(executed).toEqual({ one: '2024-02-29 12:00:00+00', many: ['2024-02-29 12:00:00+00'] })
    })
  })
})

describe('the catalog', () => {
  const asked = (recorder: Recorder) =>
    recorder.of('statement.finished').filter(({ text }) => text.includes('pg_type')).length

  test('is asked once an engine about a type of the database, and never about others', async () => {
    const recorder = new Recorder()
    await using engine = await open({ observe: recorder.observe })
    await engine.session(async ({ sql }) => {
      await sql`select 1 as a, '{::1}'::inet[] as b, '{"{}"}'::json[] as c, now() as d`
      expect(asked(recorder)).toBe(0)
      await sql`select 'ok'::mood as a, '{ok}'::mood[] as b`
      expect(asked(recorder)).toBe(1)
      await sql`select '{ok}'::mood[] as x, 'ok'::mood as y, ${1}::int as z`
    })
    await engine.session(({ db }) => db.execute(fragment`select '{ok}'::mood[] as b`))
    expect(asked(recorder)).toBe(1)
  })

  test('is asked again about a type that was made anew', async () => {
    await using engine = await open()
    await engine.session(async ({ sql }) => {
      for (const label of ['one', 'two']) {
        await sql(template(`create type passing as enum ('${label}')`))
        expect(await sql(template(`select '{${label}}'::passing[] as value`))).toMatchObject([{ value: [label] }])
        await sql`drop type passing`
      }
    })
  })
})

describe('a task that does not wait for a row of an unknown type', () => {
  const unhandled: unknown[] = []
  const remember = (error: unknown) => void unhandled.push(error)
  beforeEach(() => void process.on('unhandledRejection', remember))
  afterEach(() => void process.off('unhandledRejection', remember))

  test('gets one error, and no rejection goes unhandled', async () => {
    await using engine = await open()
    const floating = engine.session(({ sql }) => void sql`select '{ok}'::mood[] as value`)
    await expect(floating).rejects.toThrow(UsageError)
    const failed = engine.session(async ({ sql }) => {
      void sql`select '{ok}'::mood[] as value, pg_sleep(0.01)`
      await sql`select 1`
      throw new RangeError('failed')
    })
    await expect(failed).rejects.toThrow(RangeError)
    await expect.poll(() => engine.stats().leased).toBe(0)
    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).toEqual([])
  })
})

/** A text as the tag of a template gets it. */
function template(text: string): TemplateStringsArray {
  return Object.assign([text], { raw: [text] })
}
