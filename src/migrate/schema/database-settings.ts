/**
 * What an administrator gave the live database and no migration knows: settings (ALTER DATABASE … SET search_path) and
 * extensions. The scratch database of verify gets the same, so that a replay finds what the migrations found.
 */
import type { Connection } from '../../pool/connection.ts'
import type { Migration } from '../files/folder.ts'
import { parseScript } from '../files/script.ts'
import { child, text } from '../files/parse-tree.ts'
import { quotedName } from '../../values/quoting.ts'

/** Settings as `name=value`, the role's own last; extensions with their schemas. */
export interface DatabaseSettings {
  readonly settings: readonly string[]
  readonly extensions: readonly { readonly name: string; readonly schema: string }[]
}

/** Reads them. */
export async function readDatabaseSettings(connection: Connection): Promise<DatabaseSettings> {
  const settings = (await connection.query(
    `select unnest(setconfig) as setting from pg_catalog.pg_db_role_setting
     where setdatabase = (select oid from pg_catalog.pg_database where datname = current_database())
       and setrole in (0, (select oid from pg_catalog.pg_roles where rolname = current_user)) order by setrole`,
    [],
  )) as unknown as { setting: string }[]
  const extensions = (await connection.query(
    `select e.extname as name, n.nspname as schema from pg_catalog.pg_extension e
     join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname <> 'plpgsql' order by e.oid`,
    [],
  )) as unknown as { name: string; schema: string }[]
  return { settings: settings.map(({ setting }) => setting), extensions }
}

/** Gives the database `name` the settings; those that this role may not make are left out. */
export async function applySettings(server: Connection, name: string, { settings }: DatabaseSettings): Promise<void> {
  for (const setting of settings) {
    const at = setting.indexOf('=')
    const parameter = setting.slice(0, at)
    // A read-only live database may be verified too, but the scratch database has to be filled.
    if (parameter === 'default_transaction_read_only') continue
    // FROM CURRENT takes lists such as search_path as they are; written out, they would have to be quoted again.
    const change = `alter database ${quotedName(name)} set ${parameter.split('.').map(quotedName).join('.')} from current`
    try {
      await server.script('begin')
      await server.query('select pg_catalog.set_config($1, $2, true)', [parameter, setting.slice(at + 1)])
      await server.script(`${change}; commit`)
    } catch {
      await server.script('rollback')
    }
  }
}

/** Makes the extensions that no migration makes, as far as this role may; the replay reports what is then missing. */
export async function createExtensions(
  connection: Connection,
  { extensions }: DatabaseSettings,
  migrations: readonly Migration[],
): Promise<void> {
  if (extensions.length === 0) return
  const made = new Set<string>()
  for (const { text: source } of migrations) {
    for (const { tree } of (await parseScript(source)).statements) {
      made.add(`extension ${text(child(tree, 'CreateExtensionStmt')?.extname)}`)
      made.add(`schema ${text(child(tree, 'CreateSchemaStmt')?.schemaname)}`)
    }
  }
  for (const { name, schema } of extensions.filter((extension) => !made.has(`extension ${extension.name}`))) {
    const home = made.has(`schema ${schema}`) ? '' : `create schema if not exists ${quotedName(schema)};`
    const where = made.has(`schema ${schema}`) ? '' : ` schema ${quotedName(schema)}`
    await connection
      .script(`${home} create extension if not exists ${quotedName(name)}${where} cascade`)
      .catch(() => undefined)
  }
}
