/** One of everything that a Drizzle schema can declare, for the comparison of code, migrations and database. */
import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  char,
  check,
  customType,
  date,
  doublePrecision,
  foreignKey,
  index,
  inet,
  integer,
  interval,
  jsonb,
  numeric,
  pgEnum,
  pgMaterializedView,
  pgPolicy,
  pgSchema,
  pgSequence,
  pgTable,
  pgView,
  primaryKey,
  serial,
  text,
  time,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'

const citext = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' })

export const mood = pgEnum('mood', ['fine', 'so so', 'bad'])
export const app = pgSchema('app')
export const level = app.enum('level', ['low', 'high'])
export const numbers = pgSequence('numbers', { startWith: 100, increment: 5, cache: 10 })

export const groups = pgTable(
  'groups',
  { tenant: integer(), id: integer(), label: varchar({ length: 40 }).notNull() },
  (table) => [
    primaryKey({ name: 'groups_key', columns: [table.tenant, table.id] }),
    unique('groups_label').on(table.tenant, table.label).nullsNotDistinct(),
  ],
)

export const people = pgTable(
  'people',
  {
    id: integer().primaryKey().generatedAlwaysAsIdentity({ startWith: 1000, increment: 2 }),
    number: serial().notNull(),
    key: uuid().defaultRandom().notNull(),
    tenant: integer().notNull(),
    group: integer(),
    boss: integer(),
    name: text().notNull(),
    nick: citext(),
    code: char({ length: 3 }),
    state: mood().default('fine').notNull(),
    level: level().array().default(['low']),
    price: numeric({ precision: 12, scale: 2 }).default('0').notNull(),
    big: bigint({ mode: 'bigint' }).default(sql`7`),
    ratio: doublePrecision(),
    tags: text().array(),
    grid: integer().array(3).array(),
    data: jsonb().default({}),
    address: inet(),
    day: date().default(sql`current_date`),
    at: timestamp({ withTimezone: true, precision: 3 }).defaultNow().notNull(),
    clock: time({ precision: 0 }),
    span: interval({ fields: 'day to second', precision: 2 }),
    active: boolean().default(true).notNull(),
    initial: text().generatedAlwaysAs(sql`left(name, 1)`),
  },
  (table) => [
    index('people_name').on(table.name),
    uniqueIndex('people_key').on(table.key),
    index('people_active')
      .on(table.at)
      .where(sql`active`),
    index('people_lower').on(sql`lower(name)`),
    index('people_like').on(table.name.op('text_pattern_ops')),
    index('people_order').on(table.price.desc().nullsLast(), table.at.asc().nullsFirst()),
    index('people_data').using('gin', table.data.op('jsonb_path_ops')),
    index('people_hash').using('hash', table.key),
    index('people_full').on(table.tenant, table.state).with({ fillfactor: 70 }),
    unique('people_number').on(table.number),
    check('people_price', sql`price >= 0 and price < 1000000`),
    foreignKey({
      name: 'people_group',
      columns: [table.tenant, table.group],
      foreignColumns: [groups.tenant, groups.id],
    })
      .onDelete('cascade')
      .onUpdate('restrict'),
    foreignKey({ name: 'people_boss', columns: [table.boss], foreignColumns: [table.id] }).onDelete('set null'),
    pgPolicy('own', {
      as: 'restrictive',
      for: 'update',
      to: 'public',
      using: sql`tenant = 1`,
      withCheck: sql`active`,
    }),
  ],
)

export const secrets = app.table('secrets', { id: integer().primaryKey(), data: text() }).enableRLS()

export const active = pgView('active', {})
  .with({ securityBarrier: true })
  .as(sql`select id, name from people where active`)
export const totals = pgView('totals')
  .with({ checkOption: 'local' })
  .as((query) =>
    query
      .select({ id: people.id, price: people.price })
      .from(people)
      .where(sql`price > 0`),
  )
export const zBase = pgMaterializedView('z_base', {}).as(sql`select state, count(*) as many from people group by state`)
export const aTop = pgMaterializedView('a_top', {})
  .with({ fillfactor: 80 })
  .as(sql`select max(many) as most from z_base`)
