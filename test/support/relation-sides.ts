/** Relations to one row in all the ways a schema may declare them: on either side, with and without the other. */
import { relations } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'

export const relationSidesDdl = `
create table providers (id integer primary key, name text not null);
create table hubs (id integer primary key, provider_id integer not null references providers);
create table labs (id integer primary key, provider_id integer not null references providers);
create table runs (id integer primary key, lab_id integer not null);
create table lost (id integer primary key, provider_id integer not null);
insert into providers values (1, 'a'), (2, 'b');
insert into hubs values (10, 1);
insert into labs values (20, 2);
insert into runs values (30, 20);
insert into lost values (40, 1);
`

const id = () => integer('id').primaryKey()

export const providers = pgTable('providers', { id: id(), name: text('name').notNull() })
export const hubs = pgTable('hubs', { id: id(), providerId: integer('provider_id').notNull() })
export const labs = pgTable('labs', { id: id(), providerId: integer('provider_id').notNull() })
export const runs = pgTable('runs', { id: id(), labId: integer('lab_id').notNull() })
/** @public */
export const lost = pgTable('lost', { id: id(), providerId: integer('provider_id').notNull() })

/** @public */
export const providersRelations = relations(providers, ({ one, many }) => ({
  // On the parent's side, which has a child or none; hubs do not have the other side, labs have.
  hub: one(hubs, { fields: [providers.id], references: [hubs.providerId] }),
  lab: one(labs, { fields: [providers.id], references: [labs.providerId] }),
  // The other sides of these are nowhere, and there twice.
  nowhere: many(lost),
  named: many(lost, { relationName: 'named' }),
  twice: many(runs, { relationName: 'twice' }),
}))
/** @public */
export const labsRelations = relations(labs, ({ one, many }) => ({
  provider: one(providers, { fields: [labs.providerId], references: [providers.id] }),
  runs: many(runs),
}))
/** @public */
export const runsRelations = relations(runs, ({ one }) => ({
  lab: one(labs, { fields: [runs.labId], references: [labs.id] }),
  first: one(providers, { fields: [runs.id], references: [providers.id], relationName: 'twice' }),
  second: one(providers, { fields: [runs.labId], references: [providers.id], relationName: 'twice' }),
}))
