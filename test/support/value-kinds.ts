/**
 * Every type that Drizzle's pg-core declares, and some of a user's own, with the values it can hold. What is left out:
 * `geometry` (PostGIS) and `vector`, `halfvec`, `sparsevec`, `bit` (pgvector's builders) need extensions that the servers of
 * the tests lack. `insert` says which values Drizzle's own writer (`db.insert`) carries: it writes a far year as ISO with
 * a sign, which PostgreSQL refuses, -0 as 0, and the bytes of an array as text.
 */
import * as fc from 'fast-check'
import * as pg from 'drizzle-orm/pg-core'

export interface ValueKind {
  readonly name: string
  /** The type on the server. */
  readonly type: string
  readonly column: (name: string) => unknown
  readonly values: fc.Arbitrary<unknown>
  /** Values that every run tries. */
  readonly always?: readonly unknown[]
  /** The value of what plain SQL answers; by default it is the same. */
  readonly fromPlain?: (plain: never) => unknown
  /** Whether `db.insert` can write it; by default it can. */
  readonly insert?: (value: unknown) => boolean
  /** Serials have no arrays. */
  readonly arrays?: false
  /** Whether `db.insert` can write its arrays. */
  readonly insertArrays?: false
}

/** The DDL of the types of a user's own. */
export const ownTypes = String.raw`
create type mood as enum ('ok', 'c:\temp', 'a,b', '{x}', '"quoted"', 'NULL', 'null', '', ' space ', 'ünï');
create type pair_t as (a integer, b text);
create domain amount_t as numeric;
create domain code_t as char(5);
create domain host_t as inet;
create domain "Even" as integer check (value % 2 = 0);
create domain secret_t as bytea;
create domain paper_t as jsonb;
create extension citext;
create extension hstore;
`

const moods = ['ok', String.raw`c:\temp`, 'a,b', '{x}', '"quoted"', 'NULL', 'null', '', ' space ', 'ünï'] as const
export const mood = pg.pgEnum('mood', moods)

const nasty = [
  '',
  ' ',
  'NULL',
  'null',
  '\\',
  '"',
  String.raw`\"`,
  '{}',
  '{a,b}',
  'a,b',
  "'",
  '$1',
  '\t\n',
  '\u2028',
  '😀',
]
const storable = (text: string) => !text.includes('\0') && text.isWellFormed()
const texts = fc.oneof(fc.constantFrom(...nasty), fc.string({ unit: 'grapheme' }).filter(storable))
const doubles = fc.oneof(fc.double(), fc.constantFrom(-0, 0.1, 5e-324, 1.7976931348623157e308))
const withoutZero = (value: unknown) => !Object.is(value, -0)
const finite = fc.double({ noNaN: true }).map((value) => value + 0)
/** A decimal of six digits is what a `real` holds, and answers. */
const singles = fc.oneof(
  fc
    .tuple(fc.integer({ min: -999_999, max: 999_999 }), fc.integer({ min: -30, max: 0 }))
    .map(([m, e]) => Number(`${m}e${e}`)),
  fc.constantFrom(Number.NaN, Infinity, -Infinity, -0),
)
const digits = (length: number) => fc.stringMatching(new RegExp(`^[1-9][0-9]{0,${length}}$`))
const decimals = fc
  .tuple(fc.constantFrom('', '-'), digits(40), fc.stringMatching(/^(\.[0-9]{0,19}[0-9])?$/))
  .map((parts) => parts.join(''))
const two = (least: number, most: number) =>
  fc.integer({ min: least, max: most }).map((value) => String(value).padStart(2, '0'))
const fraction = fc.stringMatching(/^(\.\d{0,5}[1-9])?$/)
const clock = fc.tuple(two(0, 23), two(0, 59), two(0, 59), fraction).map(([h, m, s, f]) => `${h}:${m}:${s}${f}`)
/** Plain SQL answers a Date for an instant, which has milliseconds. */
const milliseconds = fc.stringMatching(/^(\.\d{0,2}[1-9])?$/)
const shortClock = fc
  .tuple(two(0, 23), two(0, 59), two(0, 59), milliseconds)
  .map(([h, m, s, f]) => `${h}:${m}:${s}${f}`)
const textOfInstant = (plain: string | Date) => {
  if (!(plain instanceof Date)) return plain
  const [seconds = '', fraction = ''] = plain.toISOString().slice(0, -1).replace('T', ' ').split('.')
  const kept = fraction.replace(/0+$/, '')
  return `${seconds}${kept === '' ? '' : `.${kept}`}+00`
}
const day = fc
  .tuple(fc.integer({ min: 1, max: 9999 }), two(1, 12), two(1, 28))
  .map(([year, month, date]) => `${String(year).padStart(4, '0')}-${month}-${date}`)
const farDays = fc.constantFrom('infinity', '-infinity', '4714-11-24 BC', '0044-03-15 BC', '12345-01-01')
const instants = fc.date({ min: new Date('-004712-01-01'), max: new Date('+275760-09-13'), noInvalidDate: true })
const days = instants.map((date) => new Date(Math.trunc(date.getTime() / 86_400_000) * 86_400_000))
const inISO = (value: unknown) => value instanceof Date && value.getUTCFullYear() > 0 && value.getUTCFullYear() < 10_000
/** Texts that are JSON themselves: a reader that parses once too often makes something else of them. */
const jsonTexts = ['1', 'null', 'true', '"a"', '[]']
/** JSON writes -0 as 0, and null of a column is SQL's. */
const json = fc
  .jsonValue({ maxDepth: 3 })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)
  .filter(
    (value) => value !== null && JSON.stringify(value).isWellFormed() && !/\\u0000|\\ud/.test(JSON.stringify(value)),
  )
const hex = (count: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{2}(:[0-9a-f]{2}){${count - 1}}$`))
const coordinates = (text: string) => text.slice(1, -1).split(',').map(Number)
const point = fc.tuple(finite, finite)
const line = fc.tuple(fc.integer({ min: 1, max: 99 }), finite, finite)
const instantOf = (text: string | Date) => {
  if (text instanceof Date) return text
  const [, year = '', rest = '', bc] = /^(\d+)-(.*?)( BC)?$/.exec(text) ?? []
  const astronomical = bc === undefined ? Number(year) : 1 - Number(year)
  const sign = astronomical < 0 ? '-' : '+'
  const [date, time = '00:00:00'] = rest.replace(/\+00$/, '').split(' ')
  return new Date(`${sign}${String(Math.abs(astronomical)).padStart(6, '0')}-${date}T${time}Z`)
}

const custom = <TData>(type: string, mapping: Partial<Parameters<typeof pg.customType<{ data: TData }>>[0]> = {}) =>
  pg.customType<{ data: TData }>({ dataType: () => type, ...mapping })

export const valueKinds: readonly ValueKind[] = [
  {
    name: 'bigint',
    type: 'bigint',
    column: (name) => pg.bigint(name, { mode: 'bigint' }),
    values: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
    fromPlain: BigInt,
  },
  {
    name: 'bigint as number',
    type: 'bigint',
    column: (name) => pg.bigint(name, { mode: 'number' }),
    values: fc.maxSafeInteger(),
    fromPlain: Number,
  },
  {
    name: 'bigserial',
    type: 'bigint',
    column: (name) => pg.bigserial(name, { mode: 'bigint' }),
    values: fc.bigInt(1n, 2n ** 63n - 1n),
    fromPlain: BigInt,
    arrays: false,
  },
  {
    name: 'bigserial as number',
    type: 'bigint',
    column: (name) => pg.bigserial(name, { mode: 'number' }),
    values: fc.maxSafeNat(),
    fromPlain: Number,
    arrays: false,
  },
  { name: 'boolean', type: 'boolean', column: pg.boolean, values: fc.boolean() },
  {
    name: 'char',
    type: 'char(5)',
    column: (name) => pg.char(name, { length: 5 }),
    values: fc.string({ unit: 'grapheme-ascii', minLength: 5, maxLength: 5 }),
  },
  {
    name: 'cidr',
    type: 'cidr',
    column: pg.cidr,
    values: fc.constantFrom('10.0.0.0/8', '192.168.1.0/24', '2001:db8::/32', '10.1.2.3/32'),
  },
  { name: 'date', type: 'date', column: (name) => pg.date(name), values: fc.oneof(day, farDays) },
  {
    name: 'date as Date',
    type: 'date',
    column: (name) => pg.date(name, { mode: 'date' }),
    values: days,
    fromPlain: instantOf,
    insert: inISO,
  },
  {
    name: 'double precision',
    type: 'double precision',
    column: pg.doublePrecision,
    values: doubles,
    insert: withoutZero,
  },
  { name: 'enum', type: 'mood', column: (name) => mood(name), values: fc.constantFrom(...moods) },
  {
    name: 'inet',
    type: 'inet',
    column: pg.inet,
    values: fc.constantFrom('10.0.0.1', '10.0.0.1/8', '::1', '2001:db8::1/64'),
  },
  { name: 'integer', type: 'integer', column: pg.integer, values: fc.integer() },
  {
    name: 'interval',
    type: 'interval',
    column: (name) => pg.interval(name),
    values: fc.constantFrom(
      '00:00:00',
      '1 day',
      '-1 days +02:03:00',
      '1 year 2 mons 3 days 04:05:06.789012',
      '-00:00:00.000001',
    ),
  },
  { name: 'json', type: 'json', column: pg.json, values: json, always: jsonTexts },
  { name: 'jsonb', type: 'jsonb', column: pg.jsonb, values: json, always: jsonTexts },
  { name: 'line', type: 'line', column: (name) => pg.line(name), values: line, fromPlain: coordinates },
  {
    name: 'line as object',
    type: 'line',
    column: (name) => pg.line(name, { mode: 'abc' }),
    values: line.map(([a, b, c]) => ({ a, b, c })),
    fromPlain: (text: string) => {
      const [a, b, c] = coordinates(text)
      return { a, b, c }
    },
  },
  { name: 'macaddr', type: 'macaddr', column: pg.macaddr, values: hex(6) },
  { name: 'macaddr8', type: 'macaddr8', column: pg.macaddr8, values: hex(8) },
  {
    name: 'numeric',
    type: 'numeric',
    column: (name) => pg.numeric(name),
    values: fc.oneof(decimals, fc.constantFrom('NaN', 'Infinity', '-Infinity', '0.00', '1.10')),
  },
  {
    name: 'numeric as number',
    type: 'numeric',
    column: (name) => pg.numeric(name, { mode: 'number' }),
    values: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fromPlain: Number,
  },
  {
    name: 'numeric as bigint',
    type: 'numeric',
    column: (name) => pg.numeric(name, { mode: 'bigint' }),
    values: fc.bigInt(-(10n ** 60n), 10n ** 60n),
    fromPlain: BigInt,
  },
  { name: 'point', type: 'point', column: (name) => pg.point(name), values: point, fromPlain: coordinates },
  {
    name: 'point as object',
    type: 'point',
    column: (name) => pg.point(name, { mode: 'xy' }),
    values: point.map(([x, y]) => ({ x, y })),
    fromPlain: (text: string) => {
      const [x, y] = coordinates(text)
      return { x, y }
    },
  },
  { name: 'real', type: 'real', column: pg.real, values: singles, insert: withoutZero },
  { name: 'serial', type: 'integer', column: pg.serial, values: fc.integer(), arrays: false },
  { name: 'smallint', type: 'smallint', column: pg.smallint, values: fc.integer({ min: -32_768, max: 32_767 }) },
  {
    name: 'smallserial',
    type: 'smallint',
    column: pg.smallserial,
    values: fc.integer({ min: -32_768, max: 32_767 }),
    arrays: false,
  },
  { name: 'text', type: 'text', column: (name) => pg.text(name), values: texts },
  { name: 'time', type: 'time', column: (name) => pg.time(name), values: fc.oneof(clock, fc.constant('24:00:00')) },
  {
    name: 'time with time zone',
    type: 'timetz',
    column: (name) => pg.time(name, { withTimezone: true }),
    values: clock.map((time) => `${time}+02`),
  },
  {
    name: 'timestamp',
    type: 'timestamp',
    column: (name) => pg.timestamp(name, { mode: 'string' }),
    values: fc.oneof(
      fc.tuple(day, clock).map((parts) => parts.join(' ')),
      fc.constantFrom('infinity', '-infinity', '0044-03-15 12:00:00.5 BC', '12345-01-01 00:00:00'),
    ),
  },
  {
    name: 'timestamp as Date',
    type: 'timestamp',
    column: (name) => pg.timestamp(name),
    values: instants,
    fromPlain: instantOf,
    insert: inISO,
  },
  {
    name: 'timestamptz',
    type: 'timestamptz',
    column: (name) => pg.timestamp(name, { mode: 'string', withTimezone: true }),
    values: fc.oneof(
      fc.tuple(day, shortClock).map((parts) => `${parts.join(' ')}+00`),
      fc.constantFrom('infinity', '-infinity'),
    ),
    fromPlain: textOfInstant,
  },
  {
    name: 'timestamptz as Date',
    type: 'timestamptz',
    column: (name) => pg.timestamp(name, { withTimezone: true }),
    values: instants,
    fromPlain: instantOf,
    insert: inISO,
  },
  { name: 'uuid', type: 'uuid', column: pg.uuid, values: fc.uuid() },
  { name: 'varchar', type: 'varchar', column: (name) => pg.varchar(name), values: texts },
  {
    name: 'custom bytea',
    type: 'bytea',
    column: custom<Buffer>('bytea'),
    values: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    insertArrays: false,
  },
  {
    name: 'custom jsonb, written by toDriver only',
    type: 'jsonb',
    column: custom<unknown>('jsonb', { toDriver: (value) => JSON.stringify(value) }),
    values: json,
    always: jsonTexts,
  },
  {
    name: 'custom jsonb, read by fromDriver, too',
    type: 'jsonb',
    column: custom<unknown>('jsonb', {
      toDriver: (value) => JSON.stringify({ value }),
      fromDriver: (value) => (value as { value: unknown }).value,
    }),
    values: json,
    always: jsonTexts,
    fromPlain: ({ value }: { value: unknown }) => value,
  },
  {
    name: 'custom composite',
    type: 'pair_t',
    column: custom<string>('pair_t'),
    values: fc.constantFrom('(1,x)', '(,)', '(-2,"a b")', String.raw`(3,"a\\b")`, '(4,"a""b")'),
  },
  {
    name: 'custom hstore',
    type: 'hstore',
    column: custom<string>('hstore'),
    values: fc.constantFrom('', '"a"=>"1"', '"a"=>NULL', String.raw`"a\\b"=>"\""`),
  },
  { name: 'custom citext', type: 'citext', column: custom<string>('citext'), values: texts },
  { name: 'custom domain', type: 'amount_t', column: custom<string>('amount_t'), values: decimals },
  {
    name: 'custom domain of char',
    type: 'code_t',
    column: custom<string>('code_t'),
    values: fc.constantFrom('a    ', 'abcde', '     '),
  },
  {
    name: 'custom domain of inet',
    type: 'host_t',
    column: custom<string>('host_t'),
    values: fc.constantFrom('10.0.0.1', '10.0.0.0/8'),
  },
  {
    name: 'custom domain of integers',
    type: '"Even"',
    column: custom<number>('"Even"'),
    values: fc.integer({ min: -1000, max: 1000 }).map((value) => value * 2),
    arrays: false,
  },
  {
    name: 'custom domain of bytes',
    type: 'secret_t',
    column: custom<Buffer>('secret_t'),
    values: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    arrays: false,
  },
  {
    name: 'custom domain of JSON',
    type: 'paper_t',
    column: custom<unknown>('paper_t', { toDriver: (value) => JSON.stringify(value) }),
    values: json,
    always: jsonTexts,
    arrays: false,
  },
  {
    name: 'custom range',
    type: 'int4range',
    column: custom<string>('int4range'),
    values: fc.constantFrom('empty', '[1,5)', '(,7)', '[2,)'),
  },
  { name: 'custom boolean', type: 'boolean', column: custom<boolean>('boolean'), values: fc.boolean() },
  {
    name: 'custom box',
    type: 'box',
    column: custom<string>('box'),
    values: fc.constantFrom('(1,1),(0,0)', '(2.5,3),(-1,-2)'),
    insertArrays: false,
  },
]
