/**
 * Loads by key that are called one by one and read together: all `load` calls of one session in the same tick become
 * one statement. Nothing is cached, so a load never returns what an earlier one read.
 * https://github.com/graphql/dataloader#batching
 */
import { InvalidInput } from '../../errors.ts'
import { readPlanOf } from '../query/read-plan.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import type { ReadRow } from '../query/selection.ts'
import { keyParameters, type TablePlan } from '../query/table-plan.ts'
import { rowsByKey } from '../query/rows-by-key.ts'
import { notFound } from '../query/row-errors.ts'

interface Waiting {
  readonly keyed: readonly unknown[]
  readonly resolve: (row: ReadRow) => void
  readonly reject: (error: unknown) => void
}

/** Session -> table -> the loads that wait for the end of the tick. */
const batches = new WeakMap<RepositoryRunner, Map<TablePlan, Waiting[]>>()

/** Returns the row with this key, read together with the others of the tick. @throws NotFound. */
export function loadRow(runner: RepositoryRunner, plan: TablePlan, key: unknown): Promise<ReadRow> {
  return new Promise((resolve, reject) => {
    const keyed = keyParameters(plan, key)
    let ofSession = batches.get(runner)
    if (!ofSession) batches.set(runner, (ofSession = new Map()))
    const batch = ofSession.get(plan)
    if (batch) return void batch.push({ keyed, resolve, reject })
    ofSession.set(plan, [{ keyed, resolve, reject }])
    // After the microtasks that already run: what they resume may load as well.
    void Promise.resolve().then(() => process.nextTick(dispatch, runner, plan, ofSession))
  })
}

function dispatch(runner: RepositoryRunner, plan: TablePlan, ofSession: Map<TablePlan, Waiting[]>): void {
  const batch = ofSession.get(plan) ?? []
  ofSession.delete(plan)
  void answer(runner, plan, batch).catch(async (error: unknown) => {
    // A key that only the server can refuse must not fail the others; in a transaction it has already failed them.
    if (!(error instanceof InvalidInput) || batch.length === 1 || runner.inTransaction) {
      return batch.forEach(({ reject }) => reject(error))
    }
    await Promise.all(batch.map((waiting) => answer(runner, plan, [waiting]).catch(waiting.reject)))
  })
}

async function answer(runner: RepositoryRunner, plan: TablePlan, batch: readonly Waiting[]): Promise<void> {
  const readPlan = readPlanOf(plan, {})
  const keyed = batch.map((waiting) => waiting.keyed)
  const found = await rowsByKey(runner, plan, readPlan, keyed, undefined)
  batch.forEach(({ resolve, reject }, index) => {
    const row = found[index]
    if (row) resolve(readPlan.selection.read(row))
    else reject(notFound(plan))
  })
}
