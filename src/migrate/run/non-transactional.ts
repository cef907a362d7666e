/**
 * Statements that run without a transaction of the migrator: PostgreSQL refuses one around them, or they commit by
 * themselves, or the parser does not know them. Each is recorded in the ledger before it is sent, so that the next run
 * knows it was begun.
 *
 * A lock timeout applies to them too, except to CREATE INDEX CONCURRENTLY and the like, which wait without blocking
 * other sessions; the time those wait is limited (`blockers.ts`).
 */
import { LockTimeout, MigrationFailed, MigrationRefused } from '../../errors.ts'
import type { Connection } from '../../pool/connection.ts'
import { outcomeOf } from './failure.ts'
import { retryOnLockTimeout, type FileRunOptions, send, type Work } from './lock-retry.ts'
import { refusesTransaction, type Statement } from '../files/script.ts'
import { child, children, nodeKind, text, type Tree } from '../files/parse-tree.ts'
import { watchBlockers } from './blockers.ts'

/** True when a statement cannot, or must not, run in a transaction of the migrator. */
export function isNonTransactional(statement: Statement): boolean {
  const { tree } = statement
  return tree === undefined || refusesTransaction(tree) || mayCommit(statement)
}

/** Sends such a statement. @throws MigrationFailed, MigrationRefused ('locked') when it waited too long. */
export async function sendNonTransactional(
  connection: Connection,
  work: Work,
  index: number,
  statement: Statement,
  options: FileRunOptions,
): Promise<void> {
  if (statement.tree && isConcurrent(statement.tree)) return sendWatched(connection, work, index, statement, options)
  const [row] = (await connection.query(
    "select pg_catalog.current_setting('lock_timeout') as before",
    [],
  )) as unknown as {
    before: string
  }[]
  const attempt = () => send(connection, work, index, statement, options)
  await connection.script(`set lock_timeout = ${options.lockTimeoutMs}`)
  if (!mayCommit(statement)) await retryOnLockTimeout(connection, work, options, attempt)
  else await attempt().catch((error: unknown) => refuseRepetition(work, error))
  await connection.query("select pg_catalog.set_config('lock_timeout', $1, false)", [row?.before ?? '0'])
}

/** A statement that may have committed a part of its work is not repeated automatically. */
function refuseRepetition(work: Work, error: unknown): never {
  if (!(error instanceof MigrationFailed && error.cause instanceof LockTimeout)) throw error
  throw new MigrationRefused(
    'locked',
    `${work.file}: statement ${error.statement} (line ${error.line}) could not lock a table within the lock ` +
      'timeout. It commits by itself, so a part of it may be done, and it is not repeated automatically: ' +
      outcomeOf(work),
    { cause: error, file: work.file, statement: error.statement ?? 0 },
  )
}

async function sendWatched(
  connection: Connection,
  work: Work,
  index: number,
  statement: Statement,
  options: FileRunOptions,
): Promise<void> {
  const { openObserver, deadline, onProgress } = options
  const blockers = await watchBlockers(
    connection,
    {
      openObserver,
      maxWaitMs: deadline.timeoutMs,
      onWaiting: (blockers, waitedMs) =>
        onProgress?.({ type: 'transactions.awaited', file: work.file, statement: index + 1, blockers, waitedMs }),
    },
    () => send(connection, work, index, statement, options),
  )
  if (!blockers) return
  // The cancel request may still be in flight, and must not hit a later statement of this connection.
  connection.destroy()
  const who = blockers.map(({ pid, application }) => `backend ${pid}${application && ` (${application})`}`).join(', ')
  throw new MigrationRefused(
    'locked',
    `${work.file}: statement ${index + 1} (line ${statement.line}) waited too long for the transactions of ` +
      `others: ${who}. End them, or allow more time with \`--max-wait\`; ${outcomeOf(work)}`,
    { file: work.file, statement: index + 1, line: statement.line },
  )
}

/** True for CONCURRENTLY, which waits for the transactions of others and lets them read and write meanwhile. */
function isConcurrent(tree: Tree): boolean {
  const body = child(tree, nodeKind(tree))
  if (nodeKind(tree) === 'ReindexStmt') {
    return children(body, 'params').some((option) => text(child(option, 'DefElem')?.defname) === 'concurrently')
  }
  return ['IndexStmt', 'DropStmt', 'AlterTableStmt'].includes(nodeKind(tree)) && refusesTransaction(tree)
}

/**
 * True unless it is certain that the statement ends no transaction. Then one transaction can have the statement and its
 * entry.
 */
function mayCommit({ tree, text: source }: Statement): boolean {
  if (nodeKind(tree) === 'CallStmt') return true
  // Words in comments and strings count too: a mistake costs a little safety after kill -9, and nothing else.
  return (tree === undefined || nodeKind(tree) === 'DoStmt') && /commit|rollback|\bcall\b/i.test(source)
}
