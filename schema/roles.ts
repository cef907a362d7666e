/**
 * Who asks, to row-level security. `engine.as({ role, settings })` puts one of these roles on, and with `customer` the number of
 * the customer. The tables' policies say which rows a role has; the grants in the migration, which of their columns, and what it
 * may do. Sessions of the owner, without an identity, have everything.
 * Roles belong to the server and not to a database: the migration makes those that are not there.
 */
import { type SQL, sql } from 'drizzle-orm'
import { pgPolicy, pgRole } from 'drizzle-orm/pg-core'

/** Somebody without an account: reads products, and reviews without their authors. */
export const anonymous = pgRole('anonymous').existing()
/** A customer: has own orders, own reviews and the own row, and reads what everybody reads. */
export const customer = pgRole('customer').existing()
/** Who works for the shop: has everything. */
export const staff = pgRole('staff').existing()

/** The setting that says which customer asks. After a transaction PostgreSQL answers '' for one that was set in it, not NULL. */
export const currentCustomer = sql`nullif(current_setting('request.customer_id', true), '')::int`

/** Staff has every row of a table. */
export const forStaff = (table: string) =>
  pgPolicy(`${table}_staff`, { to: staff, using: sql`true`, withCheck: sql`true` })

/** Everybody reads every row of a table. */
export const forReaders = (table: string) =>
  pgPolicy(`${table}_readers`, { for: 'select', to: [anonymous.name, customer.name], using: sql`true` })

/** A customer has the rows for which this holds, and may make no others. */
export const forOwner = (table: string, owned: SQL) =>
  pgPolicy(`${table}_owner`, { to: customer, using: owned, withCheck: owned })
