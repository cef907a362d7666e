/**
 * Runs one file. An interruption at any point leaves either nothing of it, or a state from which the next run resumes.
 *
 * In a transaction (the rule): statements and ledger row commit together. If a table stays locked for longer than
 * `lock_timeout`, the whole file is rolled back and run again after a pause: while a DDL statement waits in the lock
 * queue, all other reads wait behind it. Without a transaction: each statement commits by itself, together with the
 * number of completed statements. A statement that cannot run in a transaction at all is recorded before it runs, and
 * checked after an interruption (`non-transactional.ts`, `resume.ts`). A run that resumes has another session, so the
 * settings that the completed statements made are made again.
 */
import { Cancelled, ConnectionLost, MigrationFailed, MigrationRefused } from '../../errors.ts'
import type { Connection } from '../../pool/connection.ts'
import { sendNonTransactional, isNonTransactional } from './non-transactional.ts'
import { connectionLost, outcomeOf } from './failure.ts'
import { sha256 } from '../files/folder.ts'
import { resumeStatement } from './resume.ts'
import { cleanSession, commitRecorded, recordInOwnTransaction } from './migrator-session.ts'
import { retryOnLockTimeout, rollBack, type FileRunOptions, send, type Work } from './lock-retry.ts'
import { controlsTransaction, type Statement, commitGroups } from '../files/script.ts'
import { nodeKind } from '../files/parse-tree.ts'

/** Runs the file and returns how many milliseconds it took. @throws MigrationFailed, MigrationRefused, Cancelled. */
export async function runWork(connection: Connection, work: Work, options: FileRunOptions): Promise<number> {
  const { signal, onProgress } = options
  const { transactional, statements } = work.script
  let again: NodeJS.Timeout | undefined
  const cancel = () => void connection.cancel(AbortSignal.timeout(5000)).catch(() => connection.destroy())
  const stop = () => {
    cancel()
    // A cancel request that arrives before its statement has no effect.
    again = setInterval(cancel, 250)
  }
  signal?.addEventListener('abort', stop, { once: true })
  const started = performance.now()
  try {
    signal?.throwIfAborted()
    onProgress?.({ type: 'file.started', file: work.file, statements: statements.length, transactional })
    await cleanSession(connection)
    if (transactional) {
      await retryOnLockTimeout(connection, work, options, () => inTransaction(connection, work, options, started))
    } else await oneByOne(connection, work, options, started)
  } catch (error) {
    if (connection.transactionStatus !== 'I' && !connection.lost) await rollBack(connection)
    if (!signal?.aborted) throw error instanceof ConnectionLost ? connectionLost(work, error) : error
    // A cancel request may still be in flight, and must not hit a later statement of this connection.
    connection.destroy()
    throw new Cancelled(`interrupted: ${outcomeOf(work)}`, { cause: error })
  } finally {
    clearInterval(again)
    signal?.removeEventListener('abort', stop)
  }
  return performance.now() - started
}

async function inTransaction(
  connection: Connection,
  work: Work,
  options: FileRunOptions,
  started: number,
): Promise<void> {
  await connection.script(`begin; set local lock_timeout = ${options.lockTimeoutMs}`)
  for (const [index, statement] of work.script.statements.entries()) {
    await send(connection, work, index, statement, options)
  }
  if (connection.transactionStatus === 'I' || connection.transactionStatus === 'E') {
    throw new MigrationFailed(
      `${work.file} ended the transaction it runs in: remove COMMIT and ROLLBACK from it and from its procedures`,
      { file: work.file },
    )
  }
  options.onProgress?.({ type: 'file.executed', file: work.file })
  options.signal?.throwIfAborted()
  const { length } = work.script.statements
  await commitRecorded(connection, work, length, () => work.record(performance.now() - started))
}

function controls({ tree }: Statement): boolean {
  return tree !== undefined && controlsTransaction(tree)
}

async function oneByOne(connection: Connection, work: Work, options: FileRunOptions, started: number): Promise<void> {
  const { ledger, onProgress } = options
  const { statements } = work.script
  const before = await ledger.progress(connection, work.key)
  // A chain, so that each statement costs one hash: entry n stands for the first n statements.
  const hashes = ['']
  for (const { text } of statements) hashes.push(sha256(`${hashes.at(-1)};${text}`))
  if (before.done > statements.length || before.doneHash !== hashes[before.done]) {
    throw new MigrationRefused(
      'inconsistent',
      `${work.file} runs without a transaction and was interrupted after statement ${before.done}. The statements up ` +
        'to there are applied and were edited since: restore them, then run this again',
      { file: work.file },
    )
  }
  if (before.done > 0 || before.running)
    onProgress?.({ type: 'file.resumed', file: work.file, statement: before.done + 1 })
  const save = (done: number, running: boolean) =>
    ledger.saveProgress(connection, work.key, work.hash, { done, doneHash: hashes[done] ?? '', running })
  for (const { from: index, to, together } of commitGroups(statements)) {
    const statement = statements[index]!
    if (index < before.done) {
      // Completed statements stay completed, except settings, which ended with the session.
      for (const { tree, text } of statements.slice(index, to)) {
        if (nodeKind(tree) === 'VariableSetStmt') await connection.script(text)
      }
    } else if (!together && isNonTransactional(statement)) {
      const wasRunning = before.running && index === before.done
      const done = await resumeStatement(connection, statement.tree, wasRunning, (name) =>
        onProgress?.({ type: 'index.dropped', file: work.file, index: name }),
      )
      await recordInOwnTransaction(connection, work, () => save(index, true))
      if (!done) await sendNonTransactional(connection, work, index, statement, options)
      await recordInOwnTransaction(connection, work, () => save(index + 1, false))
    } else {
      await retryOnLockTimeout(connection, work, options, async () => {
        await connection.script(`begin; set local lock_timeout = ${options.lockTimeoutMs}`)
        for (let at = index; at < to; at += 1) {
          // The migrator itself sends COMMIT and BEGIN, with the entry for the statements between them.
          if (!controls(statements[at]!)) await send(connection, work, at, statements[at]!, options)
        }
        await commitRecorded(connection, work, to, () => save(to, false))
      })
    }
  }
  onProgress?.({ type: 'file.executed', file: work.file })
  options.signal?.throwIfAborted()
  await recordInOwnTransaction(connection, work, () => work.record(performance.now() - started))
}
