/** What a pulled schema is made of: names, expressions, columns. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ColumnContext, printColumn, sequenceOptions } from '../../src/migrate/pull/column.ts'
import { asFirstWritten, sqlTemplate, withNamelessConstants } from '../../src/migrate/pull/expression.ts'
import { camelCase, Names, quotedText } from '../../src/migrate/pull/names.ts'
import { printSchema } from '../../src/migrate/pull/schema-file.ts'
import type { PulledColumn, PulledTable } from '../../src/migrate/pull/pulled-schema.ts'

const evaluate = (expression: string, name = '', value: unknown = undefined): unknown =>
  // oxlint-disable-next-line no-implied-eval, no-new-func -- what is printed has to mean this in JavaScript
  (new Function(name || 'unused', `"use strict"; return ${expression}`) as (given: unknown) => unknown)(value)

/** Any character, as fast-check's `binary`, whose table of them all takes seconds to make. */
const unit = fc
  .oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff }))
  .map((code) => String.fromCodePoint(code))

describe('names', () => {
  test.each([
    ['film_id', 'filmId'],
    ['filmId', 'filmId'],
    ['Film ID', 'filmId'],
    ['FILM', 'film'],
    ['2nd_try', '_2ndTry'],
    ['größe', 'größe'],
    ['__', '_'],
  ])('of %j is %s', (name, property) => {
    expect(camelCase(name)).toBe(property)
  })

  test('are identifiers, and none is given twice, whatever the database calls things', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit, minLength: 1 }), { maxLength: 30 }), (wanted) => {
        const names = new Names(['sql', 'text'])
        const given = ['class', 'sql', 'text', ...wanted].map((name) => names.give(camelCase(name), 'Table'))
        expect(new Set(given).size).toBe(given.length)
        for (const name of given)
          expect(evaluate(`{ const ${name} = 1; return ${name} }`.replace(/^/, '(() => ') + ')()')).toBe(1)
        expect(given.slice(0, 3)).toEqual(['classTable', 'sqlTable', 'textTable'])
      }),
    )
  })

  test('and texts stay what they are', () => {
    fc.assert(
      fc.property(fc.string({ unit }), (text) => {
        expect(evaluate(quotedText(text))).toBe(text)
      }),
    )
  })
})

describe('an expression', () => {
  test('stays what it is in a template', () => {
    const sql = (strings: TemplateStringsArray) => strings[0]
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom('\\', '`', '$', '{', '}', 'a', "'", '\n', '\r')).map((all) => all.join('')),
    )
    fc.assert(
      fc.property(text, (given) => {
        expect(evaluate(sqlTemplate(given), 'sql', sql)).toBe(given)
      }),
    )
  })

  test('is written as PostgreSQL prints it again', () => {
    expect(
      asFirstWritten(`((a)::text = ANY ((ARRAY['x'::character varying, 'it''s'::character varying])::text[]))`),
    ).toBe(`((a)::text = ANY (ARRAY['x'::character varying, 'it''s'::character varying]))`)
    expect(asFirstWritten(`(ARRAY['x'::character varying])::text[]`)).toBe(`(ARRAY['x'::character varying])::text[]`)
    expect(withNamelessConstants(` SELECT NULL::integer,\n    'a'::text AS b,\n    '1'::numeric(4,2)\n   FROM t`)).toBe(
      ` SELECT NULL::integer AS "?column?",\n    'a'::text AS b,\n    '1'::numeric(4,2) AS "?column?"\n   FROM t`,
    )
  })
})

const column = (more: Partial<PulledColumn>): PulledColumn => ({
  name: 'c',
  type: 'text',
  base: null,
  dimensions: 0,
  enum: null,
  collation: null,
  notNull: false,
  default: null,
  generated: null,
  identity: null,
  sequence: null,
  ...more,
})
const sequence = {
  type: 'bigint',
  start: '1',
  increment: '1',
  min: '1',
  max: '9223372036854775807',
  cache: '1',
  cycle: false,
}

describe('a column', () => {
  const context: ColumnContext = {
    use: (name) => name,
    enumName: ({ name }) => (name === 'mood' ? 'mood' : undefined),
    customType: (type) => `[${type}]`,
  }
  test.each<[Partial<PulledColumn>, string]>([
    [{ default: "''::text", notNull: true }, `text('c').notNull().default('')`],
    [{ default: "'it''s'::text" }, `text('c').default(sql\`'it''s'::text\`)`],
    [{ default: 'f(1)' }, `text('c').default(sql\`f(1)\`)`],
    [{ dimensions: 2 }, `text('c').array().array()`],
    [{ dimensions: 1, default: "'{}'::text[]" }, `text('c').array().default(sql\`'{}'::text[]\`)`],
    [{ type: 'integer', default: '3' }, `integer('c').default(3)`],
    [{ type: 'integer', default: '12345678901' }, `integer('c').default(sql\`12345678901\`)`],
    [{ type: 'bigint', default: '3' }, `bigint('c', { mode: 'bigint' }).default(sql\`3\`)`],
    [{ type: 'numeric(4,2)', default: '4.99' }, `numeric('c', { precision: 4, scale: 2 }).default(sql\`4.99\`)`],
    [{ type: 'numeric(4,-2)' }, `[numeric(4,-2)]('c')`],
    [{ type: 'timestamp(3) without time zone' }, `timestamp('c', { precision: 3, mode: 'string' })`],
    [{ type: 'interval day to second' }, `[interval day to second]('c')`],
    [{ type: 'jsonb', default: `'{"a": 1}'::jsonb` }, `jsonb('c').default(sql\`'{"a": 1}'::jsonb\`)`],
    [
      { type: 'public.mood', enum: { schema: 'public', name: 'mood' }, default: `'ok'::public.mood` },
      `mood('c').default('ok')`,
    ],
    [{ type: 'public.year', base: 'integer' }, `[year]('c')`],
    [{ type: 'other.year', base: 'integer' }, `[other.year]('c')`],
    [{ type: 'character varying(3)', collation: '"C"' }, `[varchar(3) collate "C"]('c')`],
    [
      { type: 'integer', notNull: true, default: 'x', sequence: { ...sequence, schema: 's', name: 'n' } },
      `serial('c')`,
    ],
    [
      { type: 'integer', default: 'x', sequence: { ...sequence, schema: 's', name: 'n' } },
      `integer('c').default(sql\`x\`)`,
    ],
    [{ generated: 'stored', default: 'a || b' }, `text('c').generatedAlwaysAs(sql\`a || b\`)`],
    [
      {
        type: 'bigint',
        identity: 'always',
        notNull: true,
        sequence: { ...sequence, start: '5', schema: 's', name: 'n' },
      },
      `bigint('c', { mode: 'bigint' }).notNull().generatedAlwaysAsIdentity({ name: 'n', startWith: '5' })`,
    ],
  ])('%j is printed as %s', (pulled, printed) => {
    expect(printColumn(column(pulled), false, context)).toBe(printed)
  })

  test('a sequence says what is not as usual, also when it counts down', () => {
    expect(sequenceOptions(sequence)).toBe('')
    const down = { ...sequence, type: 'integer', increment: '-1', start: '-1', min: '-2147483648', max: '-1' }
    expect(sequenceOptions(down)).toBe(`{ increment: '-1' }`)
  })
})

describe('relations', () => {
  const key = (name: string, columns: string[], target: string) => ({
    name,
    kind: 'f' as const,
    columns,
    expression: null,
    nullsNotDistinct: false,
    target: { schema: 'public', name: target, columns: ['id'] },
    onUpdate: 'no action',
    onDelete: 'no action',
    definition: '',
    undeclarable: null,
    lost: null,
  })
  const table = (name: string, columns: string[], constraints: PulledTable['constraints'] = []): PulledTable => ({
    schema: 'public',
    name,
    columns: columns.map((name) => column({ name })),
    constraints,
    indexes: [],
    policies: [],
    rowSecurity: false,
  })

  test('have both sides, and names where a column or another key is in the way', () => {
    const { text } = printSchema({
      tables: [
        table('city', ['id', 'country']),
        table(
          'person',
          ['id', 'city', 'city_id', 'born_id', 'boss_id'],
          [key('a', ['city_id'], 'city'), key('b', ['born_id'], 'city'), key('c', ['boss_id'], 'person')],
        ),
      ],
      views: [],
      enums: [],
      sequences: [],
    })
    expect(text).toContain(
      `cityRow: one(city, { fields: [person.cityId], references: [city.id], relationName: 'person.a' }),`,
    )
    expect(text).toContain(`personByBornId: many(person, { relationName: 'person.b' }),`)
    expect(text).toContain(
      `boss: one(person, { fields: [person.bossId], references: [person.id], relationName: 'person.c' }),`,
    )
    expect(text).toContain(`person: many(person, { relationName: 'person.c' }),`)
  })
})

describe('row-level security', () => {
  const policy = { name: 'own', as: 'permissive', for: 'select', to: ['public'], using: 'true', withCheck: null }
  const printed = (rowSecurity: boolean, using: string) =>
    printSchema({
      tables: [
        {
          schema: 'public',
          name: 't',
          columns: [column({ name: 'id' })],
          constraints: [],
          indexes: [],
          policies: [{ ...policy, using }],
          rowSecurity,
        },
      ],
      views: [],
      enums: [],
      sequences: [],
    })

  test('is on where a policy cannot be said, and not turned on for one that waits', () => {
    expect(printed(true, 'true').text).toMatch(/pgPolicy\('own'/)
    expect(printed(true, 'true').text).not.toMatch(/enableRLS/)
    expect(printed(true, "a <> ';'").text).toMatch(/In the migration alone: policy own[^]*enableRLS/)
    const { text, notes } = printed(false, 'true')
    expect(text).not.toMatch(/pgPolicy|enableRLS/)
    expect(notes).toMatchObject([
      { object: 'policy own on public.t', reason: expect.stringMatching(/level security is off/), leftOut: true },
    ])
  })
})
