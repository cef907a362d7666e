/**
 * Locks on single rows, so that what was read stays true until the transaction ends.
 * https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS
 */
import { type SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors.ts'
import { checkOperationOptions } from '../query/operation-options.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import type { LockMode, LockWait } from '../types/lock-mode.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import { keyParameters, type TablePlan } from '../query/table-plan.ts'
import { keyedStatement } from '../query/keyed-statement.ts'
import { notFound } from '../query/row-errors.ts'

const lockModes: Readonly<Record<LockMode, SQL>> = {
  update: sql` for update`,
  'no key update': sql` for no key update`,
  share: sql` for share`,
}

/** Locks the row with this key until the transaction ends, and returns it. @throws NotFound, LockTimeout. */
export async function lockRow(
  runner: RepositoryRunner,
  plan: TablePlan,
  key: unknown,
  mode: LockMode,
  wait: LockWait<boolean> = {},
): Promise<ReadRow | undefined> {
  checkOperationOptions('lock', wait)
  const { nowait = false, skipLocked = false } = wait
  if (!runner.inTransaction) {
    throw new UsageError('lock needs a transaction, because a lock ends with its transaction: use session.transaction')
  }
  const strength = Object.hasOwn(lockModes, mode) ? lockModes[mode] : undefined
  if (!strength) throw new UsageError(`the mode of a lock must be one of ${Object.keys(lockModes).join(', ')}`)
  if (nowait && skipLocked) throw new UsageError('lock takes nowait or skipLocked, not both')
  const selection = selectionOf(plan)
  const waiting = nowait ? sql` nowait` : skipLocked ? sql` skip locked` : sql``
  const statement = plan.statements.of(`lock/${mode}/${nowait ? 'n' : ''}${skipLocked ? 's' : ''}`, () => {
    return keyedStatement(plan, selection.sql, undefined, sql`${strength}${waiting}`)
  })
  const [row] = selection.marked(await statement.run(runner, keyParameters(plan, key)))
  if (row) return selection.read(row)
  if (skipLocked) return undefined
  throw notFound(plan)
}
