/**
 * What a rule of the doctor is, and what it may ask of the database. A rule is one plain object; it reads the catalogs and
 * statistics of a database in use, and names what ails, each with the SQL that mends it. It takes no lock on any table.
 */
import type { HealthLimits } from './limits.ts'

/** One ailment: why it hurts, and how it is mended. */
export interface HealthRule {
  readonly name: string
  /** What it costs or breaks. */
  readonly why: string
  /** The mending SQL, as an example. */
  readonly mend: string
  /** The page of PostgreSQL's manual. */
  readonly manual: string
}

/** What ails, before its rule is added to it. */
export interface Ailment {
  /** The name of what ails as SQL spells it, such as `public.orders`, or a process id. */
  readonly object: string
  /** The table that it belongs to, where it is none itself. */
  readonly table?: string
  readonly message: string
  /** The SQL that mends it. Comments in it say what to know first. */
  readonly sql: string
}

/** How a rule looks at the database: in one transaction that reads only, with one snapshot. */
export interface Look {
  /** The rows of a query of ours; those with a `schema` that was not asked for are left out. */
  readonly rows: <T>(query: string) => Promise<readonly T[]>
  readonly limits: HealthLimits
  /** Says what could not be seen, and why. */
  readonly unseen: (what: string) => void
}

/** How an ailment shows. */
export interface Check extends HealthRule {
  readonly find: (look: Look) => Promise<readonly Ailment[]>
}

/** The indexes, or the tables, below each that is partitioned: a row for each that stores rows. */
export const storedBelow = `with recursive below(root, part) as (
    select oid, oid from pg_class where relkind in ('p', 'I')
    union all select b.root, i.inhrelid from below b join pg_inherits i on i.inhparent = b.part),
  stored as (select root, part from below join pg_class c on c.oid = part where c.relkind in ('r', 'i')
    union all select oid, oid from pg_class where relkind in ('r', 'i', 'm'))`
