/**
 * Indexes that another one makes needless: the same again, or the beginning of a longer one. One that enforces something
 * is needed, unless another one enforces just that.
 */
import { manualPage } from '../lint/rule.ts'
import { shownSize } from './amounts.ts'
import { groupedBy } from './grouped-by.ts'
import type { Ailment, Check } from './health-rule.ts'
import { type DatabaseIndex, dropSql, readIndexes } from './index-catalog.ts'

/** A needless index, and the one that does its work. */
export interface NeedlessIndex {
  readonly index: DatabaseIndex
  readonly keeper: DatabaseIndex
  /** Both have the same columns; otherwise the keeper has more. */
  readonly isSame: boolean
}

/** The needless ones. */
export function needlessIndexes(all: readonly DatabaseIndex[]): readonly NeedlessIndex[] {
  return [...groupedBy(all, ({ tableId }) => tableId).values()].flatMap((ofTable) => {
    const isNeedless = (index: DatabaseIndex) => ofTable.some((other) => replaces(other, index))
    return ofTable.flatMap((index) => {
      const keeper = ofTable.find((other) => replaces(other, index) && !isNeedless(other))
      return keeper ? [{ index, keeper, isSame: keeper.keys.length === index.keys.length }] : []
    })
  })
}

/** Whether `keeper` stays in the place of `index`: of two that could replace each other one stays. */
function replaces(keeper: DatabaseIndex, index: DatabaseIndex): boolean {
  return doesWorkOf(keeper, index) && !(doesWorkOf(index, keeper) && comesFirst(index, keeper))
}

/** Whether all that `index` is for is done by `keeper`, so that `index` can be dropped. */
function doesWorkOf(keeper: DatabaseIndex, index: DatabaseIndex): boolean {
  if (keeper === index || !keeper.isValid || !canGo(index)) return false
  if (keeper.method !== index.method || keeper.predicate !== index.predicate) return false
  if (!index.keys.every((key, at) => key === keeper.keys[at])) return false
  const isLonger = keeper.keys.length > index.keys.length
  // Only a B-tree is sorted by its first column first.
  if (isLonger && index.method !== 'btree') return false
  const stored = new Set([...keeper.columns, ...keeper.included])
  if (!index.included.every((column) => stored.has(column))) return false
  return !index.isUnique || (!isLonger && keeper.isUnique && keeper.strictness === index.strictness)
}

function canGo({
  isPrimary,
  isExclusion,
  isReferenced,
  isReplicaIdentity,
  isClustered,
  isPart,
  isValid,
}: DatabaseIndex) {
  return isValid && !(isPrimary || isExclusion || isReferenced || isReplicaIdentity || isClustered || isPart)
}

/** The one of a constraint stays, then the more used, then the older. */
function comesFirst(one: DatabaseIndex, other: DatabaseIndex): boolean {
  const isOfConstraint = one.constraint !== null
  if (isOfConstraint !== (other.constraint !== null)) return isOfConstraint
  return one.scans === other.scans ? one.id < other.id : one.scans > other.scans
}

function ailment({ index, keeper, isSame }: NeedlessIndex): Ailment {
  const columns = `(${index.columns.join(', ')})`
  const does = isSame ? `is on the same columns` : `begins with them: (${keeper.columns.join(', ')})`
  return {
    object: index.name,
    table: index.table,
    message: `${index.name} ${columns} takes ${shownSize(index.bytes)}, and ${keeper.name} ${does}`,
    sql: dropSql(index),
  }
}

export const duplicateIndex: Check = {
  name: 'duplicate-index',
  why: 'every INSERT, and most UPDATEs, write both; it takes room on disk and in memory, and serves nothing',
  mend: 'DROP INDEX CONCURRENTLY public.orders_customer_id_idx1;',
  manual: `${manualPage}sql-dropindex.html`,
  find: async (look) =>
    needlessIndexes(await readIndexes(look))
      .filter(({ isSame }) => isSame)
      .map(ailment),
}

export const redundantIndex: Check = {
  name: 'redundant-index',
  why: 'a longer index with the same columns first serves the same queries, and every INSERT writes both',
  mend: 'DROP INDEX CONCURRENTLY public.orders_customer_id_idx; -- orders_customer_id_placed_at_idx begins with it',
  manual: `${manualPage}indexes-multicolumn.html`,
  find: async (look) =>
    needlessIndexes(await readIndexes(look))
      .filter(({ isSame }) => !isSame)
      .map(ailment),
}
