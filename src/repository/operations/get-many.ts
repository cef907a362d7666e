/** Reads of many rows by their keys, in one statement, or two for keys of text. */
import { UsageError } from '../../errors.ts'
import { checkOperationOptions } from '../query/operation-options.ts'
import { type PlainReadOptions, readPlanOf } from '../query/read-plan.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { rowsByKey } from '../query/rows-by-key.ts'
import type { ReadRow } from '../query/selection.ts'
import { keyParameters, type TablePlan } from '../query/table-plan.ts'

/** Returns the rows of `keys` in their order, without missing ones, and the keys that no row has. */
export async function getRows(
  runner: RepositoryRunner,
  plan: TablePlan,
  keys: unknown,
  options: PlainReadOptions = {},
): Promise<{ rows: ReadRow[]; missing: unknown[] }> {
  checkOperationOptions('read', options)
  if (!Array.isArray(keys)) throw new UsageError(`getMany takes an array of keys of ${plan.name}`)
  const readPlan = readPlanOf(plan, options, plan.key)
  const keyed = Array.from(keys as unknown[], (key) => keyParameters(plan, key))
  const found = await rowsByKey(runner, plan, readPlan, keyed, options.removed)
  const rows = await readPlan.rows(
    runner,
    found.filter((row) => row !== undefined),
  )
  return { rows, missing: (keys as unknown[]).filter((_, index) => found[index] === undefined) }
}
