/**
 * A schema that shares no table with the shop: every kind of key, column and table a repository must cope with. Its SQL
 * is in toy-schema.sql, written by hand, so that a misreading of Drizzle's types is not repeated on both sides.
 */
import { relations, sql } from 'drizzle-orm'
import {
  bigint,
  bigserial,
  boolean,
  char,
  cidr,
  customType,
  date,
  doublePrecision,
  foreignKey,
  inet,
  integer,
  interval,
  json,
  jsonb,
  macaddr,
  numeric,
  pgEnum,
  pgMaterializedView,
  pgSchema,
  pgTable,
  pgView,
  point,
  primaryKey,
  real,
  serial,
  smallint,
  text,
  time,
  timestamp,
  unique,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import { conventions } from '../../src/repository/types/conventions.ts'

/** @public used through the schema as a whole, like the next two and the relations */
export const mood = pgEnum('mood', ['sad', 'ok', 'happy'])
/** @public */
export const yard = pgSchema('yard')
/** @public */
export const size = yard.enum('Size Of', ['s', 'm', 'l'])

const bytes = customType<{ data: Uint8Array }>({ dataType: () => 'bytea' })
const tsvector = customType<{ data: string }>({ dataType: () => 'tsvector' })
const range = customType<{ data: string }>({ dataType: () => 'int4range' })
const document = customType<{ data: { readonly x: unknown } }>({ dataType: () => 'jsonb' })
const span = customType<{ data: string }>({ dataType: () => 'tstzrange' })

/** An amount in cents, as a value of its own. */
export class Money {
  readonly cents: bigint
  constructor(cents: bigint) {
    this.cents = cents
  }
}

const money = customType<{ data: Money; driverData: string }>({
  dataType: () => 'numeric(20, 2)',
  toDriver: ({ cents }) => {
    const digits = String(cents < 0n ? -cents : cents).padStart(3, '0')
    return `${cents < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`
  },
  fromDriver: (value) => new Money(BigInt(value.replace('.', ''))),
})

/** A column of every type; all may be null but the key. */
export const samples = pgTable('samples', {
  id: serial('id').primaryKey(),
  aSmallint: smallint('a_smallint'),
  anInteger: integer('an_integer'),
  aBigint: bigint('a_bigint', { mode: 'bigint' }),
  aSafeBigint: bigint('a_safe_bigint', { mode: 'number' }),
  aNumeric: numeric('a_numeric'),
  anAmount: numeric('an_amount', { precision: 12, scale: 2 }),
  aNumericNumber: numeric('a_numeric_number', { mode: 'number' }),
  aNumericBigint: numeric('a_numeric_bigint', { mode: 'bigint' }),
  aReal: real('a_real'),
  aDouble: doublePrecision('a_double'),
  aBoolean: boolean('a_boolean'),
  aText: text('a_text'),
  aVarchar: varchar('a_varchar', { length: 5 }),
  aChar: char('a_char', { length: 3 }),
  aUuid: uuid('a_uuid'),
  aMood: mood('a_mood'),
  aSize: size('a_size'),
  aTimestamp: timestamp('a_timestamp'),
  aTimestampText: timestamp('a_timestamp_text', { mode: 'string' }),
  anInstant: timestamp('an_instant', { withTimezone: true }),
  anInstantText: timestamp('an_instant_text', { withTimezone: true, mode: 'string' }),
  aDate: date('a_date', { mode: 'date' }),
  aDateText: date('a_date_text'),
  aTime: time('a_time'),
  aZonedTime: time('a_zoned_time', { withTimezone: true }),
  anInterval: interval('an_interval'),
  aJson: json('a_json'),
  aJsonb: jsonb('a_jsonb'),
  aBytea: bytes('a_bytea'),
  anInet: inet('an_inet'),
  aCidr: cidr('a_cidr'),
  aMacaddr: macaddr('a_macaddr'),
  aPoint: point('a_point'),
  aTsvector: tsvector('a_tsvector'),
  aRange: range('a_range'),
  aSpan: span('a_span'),
  aMoney: money('a_money'),
  aDocument: document('a_document'),
  integers: integer('integers').array(),
  bigints: bigint('bigints', { mode: 'bigint' }).array(),
  texts: text('texts').array(),
  matrix: integer('matrix').array().array(),
  moods: mood('moods').array(),
  instants: timestamp('instants', { withTimezone: true }).array(),
  documents: jsonb('documents').array(),
  booleans: boolean('booleans').array(),
})

/** Places in a museum: a composite key, column names that differ from the properties, names that need quoting. */
export const shelves = conventions(
  yard.table(
    'Odd "shelves"',
    {
      room: varchar('Room №', { length: 20 }).notNull(),
      position: integer('position').notNull(),
      label: text('label'),
      capacity: smallint('capacity').notNull().default(10),
      area: integer('area').generatedAlwaysAs(sql`capacity * 2`),
    },
    (table) => [primaryKey({ columns: [table.room, table.position] })],
  ),
  { key: ['room', 'position'] },
)

/** Things on the shelves: a bigint identity key, a composite foreign key, a relation to itself. */
export const exhibits = pgTable(
  'exhibits',
  {
    id: bigint('id', { mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    room: varchar('room', { length: 20 }),
    position: integer('position'),
    parentId: bigint('parent_id', { mode: 'bigint' }),
    title: text('title').notNull(),
    rank: integer('rank'),
    weight: numeric('weight', { precision: 30, scale: 10 }),
    value: bigint('value', { mode: 'bigint' }),
  },
  (table) => [
    foreignKey({ columns: [table.room, table.position], foreignColumns: [shelves.room, shelves.position] }),
    foreignKey({ columns: [table.parentId], foreignColumns: [table.id] }),
  ],
)

/** Notes: a uuid key, made here and not by the server; every convention. */
export const notes = conventions(
  pgTable('notes', {
    id: uuid('id')
      .primaryKey()
      .$defaultFn(() => crypto.randomUUID()),
    exhibitId: bigint('exhibit_id', { mode: 'bigint' }).references(() => exhibits.id),
    slug: text('slug').notNull().unique(),
    body: text('body').notNull().default(''),
    version: integer('version').notNull().default(1),
    updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().defaultNow(),
    removedAt: timestamp('removed_at', { withTimezone: true }),
  }),
  { version: 'version', updatedAt: 'updatedAt', removedAt: 'removedAt' },
)

/** Words: the key is text that the caller gives. */
export const words = pgTable('words', {
  word: text('word').primaryKey(),
  uses: integer('uses').notNull().default(0),
  seen: bigserial('seen', { mode: 'number' }),
  stamp: text('stamp').$onUpdate(() => 'touched'),
})

/** Prices by day and currency: a key of a date and an enum, with values whose text varies. */
export const rates = conventions(
  pgTable(
    'rates',
    {
      day: date('day').notNull(),
      factor: numeric('factor').notNull(),
      mood: mood('mood').notNull(),
      amount: money('amount'),
    },
    (table) => [
      unique('rates_day_factor').on(table.day, table.factor),
      primaryKey({ columns: [table.day, table.mood] }),
    ],
  ),
  { key: ['day', 'factor'] },
)

/** Log lines: no key at all. */
export const lines = pgTable('lines', { at: timestamp('at').notNull(), line: text('line') })

export const heavy = pgView('heavy').as((query) => {
  return query
    .select({ id: exhibits.id, title: exhibits.title, doubled: sql<string>`${exhibits.weight} * 2`.as('doubled') })
    .from(exhibits)
    .where(sql`${exhibits.weight} > 100`)
})

export const titles = conventions(
  pgView('titles', { id: bigint('id', { mode: 'bigint' }).notNull(), title: text('title') }).existing(),
  { key: ['id'] },
)

export const totals = pgMaterializedView('totals', { rooms: text('rooms'), exhibits: integer('exhibits') }).existing()

/** @public */
export const shelvesRelations = relations(shelves, ({ many }) => ({ exhibits: many(exhibits) }))
/** @public */
export const exhibitsRelations = relations(exhibits, ({ one, many }) => ({
  shelf: one(shelves, {
    fields: [exhibits.room, exhibits.position],
    references: [shelves.room, shelves.position],
  }),
  parent: one(exhibits, { fields: [exhibits.parentId], references: [exhibits.id], relationName: 'parts' }),
  parts: many(exhibits, { relationName: 'parts' }),
  notes: many(notes),
}))
/** @public */
export const notesRelations = relations(notes, ({ one }) => ({
  exhibit: one(exhibits, { fields: [notes.exhibitId], references: [exhibits.id] }),
}))
