/**
 * Is the live database what the migrations say? The applied migrations are replayed into a scratch database, which is
 * then compared with the live one, object by object. The scratch database is gone afterwards, whatever happened; one
 * that a killed run left behind is removed by the next.
 */
import { randomBytes } from 'node:crypto'
import type { Connection } from '../pool/connection.ts'
import { Cancelled, ConfigInvalid } from '../errors.ts'
import { waiting, type MigrationSource } from './apply.ts'
import { openConnection } from '../pool/open-connection.ts'
import { refusePooler, withConnection } from './connect.ts'
import { sqlStateOf } from './failure.ts'
import { type Migration, readMigrations } from './folder.ts'
import { describeDatabase, type Difference, differences, usedSchemas, withoutTables } from './introspect.ts'
import { Ledger, quoted } from './ledger.ts'
import { MigrationRefused } from './refusal.ts'
import { runWork } from './run.ts'
import { compare, contradiction, inState } from './standing.ts'
import { controlsTransaction, parseScript } from './statements.ts'
import { applySettings, createExtensions, readSurroundings, type Surroundings } from './surroundings.ts'
import { kindOf } from './tree.ts'

/** What `verifyDatabase` takes. */
export interface VerifyOptions extends MigrationSource {
  /** A server where a scratch database may be made. Default: the live one's. */
  readonly scratchUrl?: string | undefined
  /** The schemas to compare. Default: public, and those that the migrations make or fill. */
  readonly schemas?: readonly string[] | undefined
  /** Says of a table's or view's bare name whether it is compared. Default: all are. */
  readonly keepsTable?: ((table: string) => boolean) | undefined
  readonly signal?: AbortSignal | undefined
}

/** What `verifyDatabase` answers. */
export interface VerifyResult {
  /** Where the live database differs from what its applied migrations make. */
  readonly differences: readonly Difference[]
  /** Not applied yet, and so left out of the comparison. */
  readonly pending: readonly string[]
}

/**
 * Compares the database at `url` with its migrations.
 * @throws MigrationRefused when files and ledger contradict each other, MigrationFailed when a replay fails.
 */
export async function verifyDatabase(url: string, options: VerifyOptions): Promise<VerifyResult> {
  const migrations = await readMigrations(options.folder)
  const ledger = new Ledger(options.ledger)
  const before = await withConnection(url, async (connection) => {
    const rows = await ledger.read(connection)
    const standing = compare(migrations, rows)
    const reason = contradiction(standing)
    if (reason) throw reason
    return { rows, standing, surroundings: await readSurroundings(connection) }
  })
  const applied = inState(before.standing, 'applied')
  const scratch = { url: options.scratchUrl ?? url, signal: options.signal, surroundings: before.surroundings }
  const { expected, schemas } = await withScratch(scratch, async (connection) => {
    await ledger.create(connection)
    await createExtensions(connection, before.surroundings, applied)
    await replay(connection, applied, ledger, options.signal)
    const schemas = options.schemas ?? (await usedSchemas(connection, ledger))
    return { schemas, expected: await describeDatabase(connection, ledger, schemas) }
  })
  const live = await withConnection(url, async (connection) => {
    const ids = (await ledger.read(connection)).map(({ id }) => id)
    if (ids.join() === before.rows.map(({ id }) => id).join()) return describeDatabase(connection, ledger, schemas)
    throw new MigrationRefused('inconsistent', 'somebody migrated the database meanwhile: run this again')
  })
  const { keepsTable = () => true } = options
  return {
    differences: differences(withoutTables(expected, keepsTable), withoutTables(live, keepsTable)),
    pending: inState(before.standing, 'pending').map(({ name }) => name),
  }
}

const scratchPrefix = 'rivulet_scratch_'
// A scratch database is in use from its first moments on.
const abandonedAfterMs = 60_000

interface Scratch {
  readonly url: string
  readonly signal: AbortSignal | undefined
  readonly surroundings: Surroundings
}

async function withScratch<T>(
  { url, signal, surroundings }: Scratch,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  return withConnection(url, async (server) => {
    await refusePooler(server)
    const name = `${scratchPrefix}${Date.now()}_${randomBytes(4).toString('hex')}`
    try {
      // It may be closed for writing; nothing is written there, but CREATE DATABASE would be refused.
      await server.script('set default_transaction_read_only = off')
      await removeAbandoned(server)
      // template0: nobody can be connected to it, and it holds nothing that this server's template1 may have got.
      await server.script(`create database ${quoted(name)} template template0`)
    } catch (cause) {
      if (sqlStateOf(cause) !== '42501') throw cause
      throw new ConfigInvalid(
        'verify replays the migrations into a scratch database, and the role of the database URL may not create one: ' +
          'grant it CREATEDB, or give a server where it may with --scratch URL',
        { cause },
      )
    }
    try {
      await applySettings(server, name, surroundings)
      // On the server that has the scratch database, wherever the URL may lead.
      const address = { ...server.address, database: name }
      const connection = await openConnection({ address, connectTimeoutMs: 10_000 })
      try {
        return await work(connection)
      } finally {
        await connection.close()
      }
    } catch (error) {
      if (signal?.aborted) throw new Cancelled('interrupted', { cause: error })
      throw error
    } finally {
      await server.script(`drop database if exists ${quoted(name)} with (force)`)
    }
  })
}

/** Only kill -9 leaves one: nobody is connected to it any more, and its name says how old it is. */
async function removeAbandoned(server: Connection): Promise<void> {
  const rows = (await server.query(
    `select datname as name from pg_catalog.pg_database d where datname ~ $1 and pg_has_role(datdba, 'usage')
       and not exists (select from pg_catalog.pg_stat_activity a where a.datname = d.datname)`,
    [`^${scratchPrefix}[0-9]+_[0-9a-f]{8}$`],
  )) as unknown as { name: string }[]
  for (const { name } of rows) {
    const madeAt = Number(name.slice(scratchPrefix.length).split('_')[0])
    if (Date.now() - madeAt > abandonedAfterMs) await server.script(`drop database if exists ${quoted(name)}`)
  }
}

/** Statements that reach beyond their database: a replay must not make them happen twice. */
const clusterWide = new Set(
  (
    'CreateRoleStmt AlterRoleStmt AlterRoleSetStmt DropRoleStmt GrantRoleStmt CreatedbStmt DropdbStmt ' +
    'AlterDatabaseStmt AlterDatabaseSetStmt AlterSystemStmt CreateTableSpaceStmt DropTableSpaceStmt ' +
    'CreateSubscriptionStmt AlterSubscriptionStmt DropSubscriptionStmt'
  ).split(' '),
)

/** A scratch database needs no ledger. */
const record = () => Promise.resolve()

async function replay(
  connection: Connection,
  migrations: readonly Migration[],
  ledger: Ledger,
  signal: AbortSignal | undefined,
): Promise<void> {
  const options = { ...waiting({ signal, lockTimeoutMs: 60_000, maxWaitMs: 60_000 }), ledger }
  for (const migration of migrations) {
    const parsed = await parseScript(migration.text)
    // Files from before Rivulet may hold what it would refuse today: they ran once, so they run here.
    const selfMade = parsed.statements.some(({ tree }) => tree && controlsTransaction(tree))
    const statements = parsed.statements.filter(
      ({ tree }) => !tree || !(clusterWide.has(kindOf(tree)) || controlsTransaction(tree)),
    )
    const script = { statements, transactional: parsed.transactional && !selfMade }
    const file = `${migration.name}.sql`
    await runWork(connection, { file, key: migration.name, hash: migration.hash, script, record }, options).catch(
      (cause: unknown) => {
        if (signal?.aborted) throw cause
        throw new MigrationRefused(
          'unsafe',
          `the migrations cannot be replayed into an empty database: ${cause instanceof Error ? cause.message : ''}` +
            missingHint(cause),
          { cause, file },
        )
      },
    )
  }
}

/** What an administrator made by hand is in the live database only. */
function missingHint(cause: unknown): string {
  return ['42704', '42883', '3F000'].includes(sqlStateOf(cause) ?? '')
    ? '\nIf it comes from an extension, or was made by hand, make it in a migration: CREATE EXTENSION IF NOT EXISTS …'
    : ''
}
