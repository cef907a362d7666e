/**
 * Answers, kept under the keys that clients give to their requests, in the transaction that did the work: a request that
 * is sent again finds the first answer, or nothing was done. The key is entered first. Who sends it again meanwhile waits
 * there, for the primary key's own lock, until the first transaction has ended, and then sees what became of it.
 *
 * A key belongs to its owner. The table is the login role's alone: a role that is put on needs no right to it and gains
 * none, because it is put off for our statements. https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
 */
import { createHash } from 'node:crypto'
import { DatabaseError, UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import type { SqlTag } from '../drizzle/sql-tag.ts'

/** A request that its client can send again. */
export interface KeyedRequest {
  /** Who asks: the keys of others are not theirs. */
  readonly owner: string
  readonly key: string
  /** Tells this request from another one under the same key. */
  readonly fingerprint: string
}

/** What a request was answered. */
export interface KeptAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** Milliseconds for which answers are kept, unless somebody says otherwise: a day. */
export const keptForMs = 86_400_000

/**
 * Makes the schema `rivulet` with the table of keys and answers, unless it is there; run it where migrations are run:
 * `engine.session(createIdempotencyTable)`. The login role of the service needs `usage` of the schema, and `select`,
 * `insert`, `update` and `delete` of `rivulet.idempotency_keys`; the roles that it puts on need nothing.
 */
export async function createIdempotencyTable(session: { readonly sql: SqlTag }): Promise<void> {
  const sql = sqlOf('createIdempotencyTable', session)
  // IF NOT EXISTS alone would need rights even where nothing is missing, and fail where several do this at once.
  await sql`do $$ begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('rivulet.idempotency_keys', 0));
    if not exists (select from pg_catalog.pg_namespace where nspname = 'rivulet') then
      create schema rivulet;
    end if;
    if not exists (select from pg_catalog.pg_tables where schemaname = 'rivulet' and tablename = 'idempotency_keys') then
      create table rivulet.idempotency_keys (
        owner text not null, key text not null, fingerprint text not null,
        created_at timestamptz not null default now(),
        status smallint, headers jsonb, body bytea,
        primary key (owner, key));
    end if;
  end $$`
}

const removeOptions = optionNames<{ olderThanMs?: number }>({ olderThanMs: 'number' })

/** @throws UsageError for what is no session */
function sqlOf(call: string, session: { readonly sql: SqlTag } | null | undefined): SqlTag {
  if (typeof session?.sql === 'function') return session.sql
  throw new UsageError(`${call} takes a session: engine.session(${call})`)
}

/** Removes answers older than `olderThanMs`, by default a day; returns how many. Run it now and then, as from a cron job. */
export async function removeIdempotencyKeys(
  session: { readonly sql: SqlTag },
  options: { readonly olderThanMs?: number } = {},
): Promise<number> {
  const sql = sqlOf('removeIdempotencyKeys', session)
  checkOptions('removeIdempotencyKeys', removeOptions, options)
  const { olderThanMs = keptForMs } = options
  const { count } = await sql`
    delete from rivulet.idempotency_keys where created_at < now() - ${olderThanMs}::float8 * interval '1 ms'`
  return count
}

const ownObject =
  /^(?:schema rivulet|(?:table|column) rivulet\.idempotency_keys(?:\.\w+)?|constraint rivulet\..* on idempotency_keys)$/

/** Whether an object, as descriptions of databases name it, is one that `createIdempotencyTable` makes. */
export function isOfIdempotency(object: string): boolean {
  return ownObject.test(object)
}

/**
 * Enters the key, in a transaction that has done nothing yet; an answer that was kept for it at most `maxAgeMs` ago, with
 * the fingerprint of its request, undefined where there is none and the work is to be done. Waits for the transaction that
 * has entered the key and not ended. @throws UsageError where the table cannot be used.
 */
export async function claimKey(
  { sql }: { readonly sql: SqlTag },
  { owner, key, fingerprint }: KeyedRequest,
  maxAgeMs: number,
): Promise<(KeptAnswer & { readonly fingerprint: string }) | undefined> {
  const { count } = await asLoginRole(
    sql,
    () => sql`
      insert into rivulet.idempotency_keys as kept (owner, key, fingerprint) values (${owner}, ${key}, ${fingerprint})
      on conflict (owner, key) do update
        set fingerprint = excluded.fingerprint, created_at = excluded.created_at, status = null, headers = null, body = null
        where kept.created_at < now() - ${maxAgeMs}::float8 * interval '1 ms'`,
  )
  if (count > 0) return undefined
  const [kept] = await asLoginRole(
    sql,
    () => sql<KeptAnswer & { fingerprint: string }>`
      select fingerprint, status, headers, body from rivulet.idempotency_keys where owner = ${owner} and key = ${key}`,
  )
  return kept
}

/** Keeps the answer under the key that this transaction has entered. */
export async function keepAnswer(
  { sql }: { readonly sql: SqlTag },
  { owner, key }: KeyedRequest,
  { status, headers, body }: KeptAnswer,
): Promise<void> {
  await asLoginRole(
    sql,
    () => sql`
      update rivulet.idempotency_keys set status = ${status}, headers = ${headers}, body = ${body}
      where owner = ${owner} and key = ${key}`,
  )
}

/** Runs one of our statements with the rights of the login role, and puts the role that was on back on. */
async function asLoginRole<T>(sql: SqlTag, statement: () => Promise<T>): Promise<T> {
  try {
    // Sent together; with a parameter, so that it is prepared.
    const [[was], result] = await Promise.all([
      sql<{ role: string }>`select current_setting('role') as role, set_config('role', ${'none'}, true)`,
      statement(),
    ])
    if (was && was.role !== 'none') await sql`select set_config('role', ${was.role}, true)`
    return result
  } catch (cause) {
    const unusable = cause instanceof DatabaseError && ['42P01', '3F000', '42501'].includes(cause.sqlState)
    if (!unusable) throw cause
    throw new UsageError(
      'answers cannot be kept: the table rivulet.idempotency_keys is missing, or the login role may not use it. Make it ' +
        'with engine.session(createIdempotencyTable), or grant select, insert, update and delete on it',
      { cause },
    )
  }
}

/** Tells contents apart without telling them. */
export function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('base64url')
}
