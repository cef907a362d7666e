/** The shop, and tables of twelve columns for work on many rows. */
import {
  bigint,
  boolean,
  date,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgTable,
  text,
  uuid,
} from 'drizzle-orm/pg-core'
import * as shop from '../../schema/index.ts'
import { instant } from '../../schema/timestamps.ts'

const wideTable = <TName extends string>(name: TName) =>
  pgTable(name, {
    id: integer('id').primaryKey(),
    label: text('label').notNull(),
    price: numeric('price', { precision: 12, scale: 2 }).notNull(),
    ratio: doublePrecision('ratio').notNull(),
    stock: integer('stock').notNull(),
    total: bigint('total', { mode: 'bigint' }).notNull(),
    available: boolean('available').notNull(),
    code: uuid('code').notNull(),
    day: date('day', { mode: 'string' }).notNull(),
    note: text('note'),
    attributes: jsonb('attributes').$type<Record<string, unknown>>().notNull(),
    createdAt: instant('created_at').notNull(),
  })

/** Rows that are there. */
export const wide = wideTable('bench_rows')
/** For rows that are written. */
export const written = wideTable('bench_written')

export const schema = { ...shop, wide, written }

/** The tables, the first with so many rows, made by the server itself. */
export const wideTables = (rows: number) => `
  create table bench_rows (
    id integer primary key, label text not null, price numeric(12, 2) not null, ratio double precision not null,
    stock integer not null, total bigint not null, available boolean not null, code uuid not null, day date not null,
    note text, attributes jsonb not null, created_at timestamptz(3) not null
  );
  create table bench_written (like bench_rows including all);
  insert into bench_rows
  select n, 'row ' || n, n / 100.0, n / 7.0, n % 1000, n * 1000000007::bigint, n % 2 = 0, md5(n::text)::uuid,
         date '2026-01-01' + n % 365, case when n % 3 = 0 then 'a note of some words' end,
         jsonb_build_object('colour', 'blue', 'size', n % 50), timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second'
  from generate_series(1, ${rows}) n;
  analyze`

/** The same rows as JavaScript has them. */
export function wideRow(n: number): typeof written.$inferInsert {
  const hex = n.toString(16).padStart(12, '0')
  return {
    id: n,
    label: `row ${n}`,
    price: (n / 100).toFixed(2),
    ratio: n / 7,
    stock: n % 1000,
    total: BigInt(n) * 1_000_000_007n,
    available: n % 2 === 0,
    code: `00000000-0000-4000-8000-${hex}`,
    day: `2026-01-${String(1 + (n % 28)).padStart(2, '0')}`,
    note: n % 3 === 0 ? 'a note of some words' : null,
    attributes: { colour: 'blue', size: n % 50 },
    createdAt: new Date(Date.UTC(2026, 0, 1) + n * 1000),
  }
}
