/**
 * A project that starts from a database: its schema for Drizzle, and the migration that makes all of it, both read from
 * PostgreSQL's catalogs in one snapshot. Changes nothing.
 *
 * It does not use `drizzle-kit pull`, whose schema often does not parse (defaults, names), has keys in another order
 * and operator classes of other columns, leaves out partitioned tables, and whose first migration is a comment.
 */
import { UsageError } from '../../errors.ts'
import { withConnection } from '../connect.ts'
import { usedSchemas } from '../schema/describe.ts'
import { Ledger, type LedgerName } from '../ledger/ledger.ts'
import { dumpedFile, dumpSchema } from './dump.ts'
import { printSchema, type SchemaFile } from './schema-file.ts'
import { readPulledSchema } from './pulled-schema.ts'
import { quotedLiteral, shownName } from '../../values/quoting.ts'

/** The options of `pullDatabase`. */
export interface PullOptions {
  readonly ledger?: LedgerName | undefined
  /** The schemas to read. Default: public, and those that have objects. */
  readonly schemas?: readonly string[] | undefined
  /** Tells by the bare name of a table or view whether the schema file has it; the migration has all of them. */
  readonly keepsTable?: ((table: string) => boolean) | undefined
}

/** The result of `pullDatabase`. */
export interface PulledDatabase {
  readonly schema: SchemaFile
  /** The text of the first migration. */
  readonly migration: string
  readonly statements: number
  readonly tables: number
  readonly views: number
}

/** Reads the database at `url`. @throws UsageError when there is nothing in it. */
export async function pullDatabase(url: string, options: PullOptions): Promise<PulledDatabase> {
  const ledger = new Ledger(options.ledger)
  const { keepsTable = () => true } = options
  return withConnection(url, async (connection) => {
    const schemas = options.schemas ?? (await usedSchemas(connection, ledger))
    const ours = `n.nspname in (${schemas.map(quotedLiteral).join(', ')})`
    await connection.script("begin isolation level repeatable read read only; set local search_path = ''")
    const dumped = await dumpSchema(connection, ours)
    const pulled = await readPulledSchema(connection, ours)
    await connection.script('rollback')
    const owned = (kind: string, { schema, name }: { schema: string; name: string }) =>
      ledger.owns(`${kind} ${shownName(schema)}.${shownName(name)}`)
    const tables = pulled.tables.filter((table) => !owned('table', table) && keepsTable(table.name))
    const views = pulled.views.filter(({ name }) => keepsTable(name))
    const sequences = pulled.sequences.filter((sequence) => !owned('sequence', sequence))
    const statements = dumped.filter(({ object }) => !ledger.owns(object))
    if (tables.length + views.length + pulled.enums.length + sequences.length === 0) {
      throw new UsageError(
        `there is nothing to pull: no table in ${schemas.join(', ')}. Write a Drizzle schema, then run \`rivulet generate\``,
      )
    }
    return {
      schema: printSchema({ ...pulled, tables, views, sequences }),
      migration: dumpedFile(statements),
      statements: statements.length,
      tables: tables.length,
      views: views.length,
    }
  })
}
