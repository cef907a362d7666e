/**
 * Runs migrations again in a scratch database. Statements that reach beyond that database (roles, other databases,
 * settings of the server) are left out, and so are SET ROLE and OWNER TO: owners are not compared, and privileges that
 * were granted by hand are missing. On a temporary server, roles are made, also those that no migration makes.
 */
import type { Connection } from '../../pool/connection.ts'
import { MigrationFailed } from '../../errors.ts'
import { waiting } from '../options.ts'
import { sqlStateOf } from '../../sqlstate.ts'
import type { Migration } from '../files/folder.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { runWork } from '../run/run-file.ts'
import { controlsTransaction, parseScript, type Script, type Statement } from '../files/script.ts'
import { child, children, nodeKind, text, type Tree } from '../files/parse-tree.ts'
import { readScript, refusePulled } from '../files/check-script.ts'
import { quotedName } from '../../values/quoting.ts'

/** How to replay. */
export interface ReplayOptions {
  readonly ledger: Ledger
  readonly signal: AbortSignal | undefined
  /** True on a temporary server: roles may be made there. */
  readonly throwAway: boolean
  /**
   * True: files that `rivulet migrate` would refuse are refused. Default: they run, as they did before there was
   * Rivulet.
   */
  readonly strict?: boolean | undefined
}

/** Runs them in order. @throws MigrationFailed naming file and line, MigrationRefused for a strict file. */
export async function replay(
  connection: Connection,
  migrations: readonly Migration[],
  { ledger, signal, throwAway, strict = false }: ReplayOptions,
): Promise<void> {
  const options = { ...waiting({ signal, lockTimeoutMs: 60_000, maxWaitMs: 60_000 }), ledger }
  for (const migration of migrations) {
    const { name, file, hash, text } = migration
    await refusePulled(file, text)
    const script = strict ? await readScript(file, text) : await asOnce(text)
    const statements = script.statements.map((statement) =>
      runs(statement, throwAway) ? statement : nothing(statement),
    )
    // A scratch database needs no entries in its ledger.
    const work = { file, key: name, hash, script: { ...script, statements }, record: () => Promise.resolve() }
    await withRoles(connection, throwAway, () => runWork(connection, work, options))
  }
}

/** Files from before Rivulet may have statements that it would refuse today: they ran once, so they run here. */
async function asOnce(source: string): Promise<Script> {
  const { statements, transactional } = await parseScript(source)
  return {
    statements: statements.map((statement) => (selfMade(statement.tree) ? nothing(statement) : statement)),
    transactional: transactional && !statements.some(({ tree }) => selfMade(tree)),
  }
}

function selfMade(tree: Tree | undefined): boolean {
  return tree !== undefined && controlsTransaction(tree)
}

/** A replacement that does nothing, so that the other statements keep their numbers. */
function nothing(statement: Statement): Statement {
  return { ...statement, text: 'select', tree: { SelectStmt: {} } }
}

const aboutRoles = new Set('CreateRoleStmt AlterRoleStmt AlterRoleSetStmt DropRoleStmt GrantRoleStmt'.split(' '))
const beyondDatabase = new Set(
  (
    'CreatedbStmt DropdbStmt AlterDatabaseStmt AlterDatabaseSetStmt AlterSystemStmt CreateTableSpaceStmt ' +
    'DropTableSpaceStmt CreateSubscriptionStmt AlterSubscriptionStmt DropSubscriptionStmt'
  ).split(' '),
)

/** True for statements that a scratch database should see. */
export function runs({ tree, text: source }: Pick<Statement, 'tree' | 'text'>, throwAway: boolean): boolean {
  const kind = nodeKind(tree)
  // A DO block usually checks whether a role exists, and then makes it.
  const inBlock = kind === 'DoStmt' && /\b(?:create|alter|drop)\s+(?:role|user)\b(?!\s+mapping)/i.test(source)
  if (aboutRoles.has(kind) || inBlock) return throwAway
  const sets = text(child(tree, 'VariableSetStmt')?.name)
  return !beyondDatabase.has(kind) && sets !== 'role' && sets !== 'session_authorization' && !changesOwner(tree)
}

function changesOwner(tree: Tree | undefined): boolean {
  const commands = children(child(tree, 'AlterTableStmt'), 'cmds').map((command) => child(command, 'AlterTableCmd'))
  const only = commands.length > 0 && commands.every((command) => command?.subtype === 'AT_ChangeOwner')
  return only || nodeKind(tree) === 'AlterOwnerStmt'
}

/** The role that the server does not know, when that is why a statement failed. */
export function missingRole(error: unknown): string | undefined {
  const cause = error instanceof MigrationFailed ? error.cause : error
  const message = cause instanceof Error && sqlStateOf(error) === '42704' ? cause.message : ''
  return /^role "(.+)" does not exist$/.exec(message)?.[1]
}

/** Repeats `work` with the roles that were made by hand on the real server, if they may be made here. */
async function withRoles(connection: Connection, throwAway: boolean, work: () => Promise<unknown>): Promise<void> {
  const made = new Set<string>()
  for (;;) {
    try {
      await work()
      return
    } catch (error) {
      const role = throwAway ? missingRole(error) : undefined
      if (role === undefined || made.has(role)) throw error
      made.add(role)
      await connection.script(`create role ${quotedName(role)}`)
    }
  }
}
