/**
 * Says in words what looks wrong with a node of a plan. The thresholds are such that a warning is worth a look: small
 * tables are read from end to end for good reasons, and an estimate that is ten times off rarely changes a plan.
 */
import { type ExplainAnswer, figure, type NodeAnswer, tableOf } from './explain-answer.ts'
import type { PlanActual, PlanWarning, PlanWarningCode } from './query-plan.ts'

/** Fewer rows than this are read quickly in any way. */
const manyRows = 1000
/** Of this many rows read for one that is wanted, an index would have spared most. */
const rowsForOne = 10
/** An estimate is wrong when it is off by this factor. */
const wrongBy = 100
/** Runs of a scan from which on it is said that it is repeated. */
const manyRuns = 100

/** What is known of a node beside what the server says of it. */
export interface NodeContext {
  readonly actual: PlanActual | undefined
  /** True below a node that may stop before it has read all: its rows were not all asked for. */
  readonly stopsEarly: boolean
  /** True when the estimate of a node below is wrong: then so is this one's, and the cause is there. */
  readonly misled: boolean
  /** Rows of the table by the statistics, where nothing was run. */
  readonly tableRows: number | undefined
}

/** The warnings of one node. */
export function nodeWarnings(node: NodeAnswer, context: NodeContext): readonly PlanWarning[] {
  const warnings = [scanned(node, context), discarded(node, context), spilledSort(node), spilledHash(node)]
  warnings.push(lossyBitmap(node), heapFetches(node, context), wrongEstimate(node, context))
  return warnings.filter((warning) => warning !== undefined)
}

/** The triggers that took most of the statement's time; of a foreign key, that is a missing index. */
export function triggerWarnings({
  Triggers = [],
  'Execution Time': totalMs = 0,
}: ExplainAnswer): readonly PlanWarning[] {
  return Triggers.filter(({ Time: ms = 0, Calls: calls = 0 }) => ms > totalMs / 2 && calls >= manyRuns).map(
    (trigger) => {
      const { 'Constraint Name': constraint, Time: ms = 0, Calls: calls = 0 } = trigger
      const what = constraint === undefined ? `the trigger ${trigger['Trigger Name']}` : `the check of ${constraint}`
      const advice = constraint === undefined ? '' : ': does the referencing side have an index on its columns?'
      return warning(
        'slow_trigger',
        `${what} took ${Math.round(ms)} of ${Math.round(totalMs)} ms, in ${amount(calls, 'call')}${advice}`,
      )
    },
  )
}

function scanned(node: NodeAnswer, { actual, tableRows }: NodeContext): PlanWarning | undefined {
  if (node['Node Type'] !== 'Seq Scan' || node['Filter'] === undefined) return undefined
  const wanted = actual ? actual.rows : node['Plan Rows']
  const read = actual ? actual.rows + figure(node, 'Rows Removed by Filter') * actual.loops : tableRows
  if (read === undefined || read < manyRows || read < wanted * rowsForOne) return undefined
  const loops = actual?.loops ?? 1
  const about = actual ? '' : 'about '
  const runs = loops >= manyRuns ? `, in ${amount(loops, 'run')}` : ''
  return warning(
    loops >= manyRuns ? 'repeated_scan' : 'sequential_scan',
    `sequential scan of ${about}${amount(read, 'row')} of ${tableOf(node)} for ${amount(wanted, 'row')} wanted${runs}: ` +
      `an index that fits ${String(node['Filter'])} would find them`,
  )
}

function discarded(node: NodeAnswer, { actual }: NodeContext): PlanWarning | undefined {
  if (!actual || node['Node Type'] === 'Seq Scan' || node['Index Name'] === undefined) return undefined
  const removed = figure(node, 'Rows Removed by Filter') * actual.loops
  if (removed < manyRows || removed < actual.rows * rowsForOne) return undefined
  return warning(
    'rows_discarded',
    `the index ${node['Index Name']} found ${amount(removed + actual.rows, 'row')}, of which ` +
      `${amount(actual.rows, 'row')} were wanted: add the columns of ${String(node['Filter'])} to it`,
  )
}

function spilledSort(node: NodeAnswer): PlanWarning | undefined {
  if (node['Sort Space Type'] !== 'Disk') return undefined
  return warning(
    'sort_spilled',
    `the sort spilled ${kilobytes(figure(node, 'Sort Space Used'))} to disk: sort fewer rows, read them from an index in ` +
      'this order, or raise work_mem',
  )
}

function spilledHash(node: NodeAnswer): PlanWarning | undefined {
  const batches = Math.max(figure(node, 'Hash Batches'), figure(node, 'HashAgg Batches'))
  const spilled = batches > 1 || (node['Node Type'] === 'Aggregate' && figure(node, 'Disk Usage') > 0)
  if (!spilled) return undefined
  return warning(
    'hash_spilled',
    `the hash table did not fit into memory and was written to disk in ${amount(batches, 'part')}: raise work_mem or ` +
      'hash_mem_multiplier, or hash fewer rows',
  )
}

function lossyBitmap(node: NodeAnswer): PlanWarning | undefined {
  const lossy = figure(node, 'Lossy Heap Blocks')
  if (lossy === 0) return undefined
  return warning(
    'bitmap_lossy',
    `the bitmap did not fit into work_mem, so all rows of ${amount(lossy, 'page')} of ${tableOf(node)} were checked again`,
  )
}

function heapFetches(node: NodeAnswer, { actual }: NodeContext): PlanWarning | undefined {
  const fetches = figure(node, 'Heap Fetches')
  if (!actual || fetches < manyRows || fetches < actual.rows / 2) return undefined
  return warning(
    'heap_fetches',
    `the index ${node['Index Name']} alone would do, but ${amount(fetches, 'row')} were looked up in ${tableOf(node)}: ` +
      'VACUUM it',
  )
}

function wrongEstimate(node: NodeAnswer, { actual, stopsEarly, misled }: NodeContext): PlanWarning | undefined {
  if (!actual || misled || !isWrong(node, actual, stopsEarly)) return undefined
  const each = actual.rows / actual.loops
  const factor = Math.floor(Math.max(each, 1) / Math.max(node['Plan Rows'], 1))
  const off = factor >= 1 ? factor : Math.floor(Math.max(node['Plan Rows'], 1) / Math.max(each, 1))
  const table = tableOf(node)
  const advice = table === undefined ? 'its tables' : table
  return warning(
    'wrong_estimate',
    `${node['Node Type']}${table === undefined ? '' : ` of ${table}`} was expected to give ` +
      `${amount(node['Plan Rows'], 'row')} and gave ${amount(Math.round(each), 'row')}${actual.loops > 1 ? ' a run' : ''}, ` +
      `${off.toLocaleString('en')} times off: ANALYZE ${advice}; where columns depend on each other, CREATE STATISTICS`,
  )
}

/** Whether the estimate of a node is off; too high does not count where not all rows were asked for. */
export function isWrong(node: NodeAnswer, { rows, loops }: PlanActual, stopsEarly: boolean): boolean {
  const [found, expected] = [Math.max(rows / loops, 1), Math.max(node['Plan Rows'], 1)]
  return found >= expected * wrongBy || (!stopsEarly && expected >= found * wrongBy)
}

function warning(code: PlanWarningCode, message: string): PlanWarning {
  return { code, message }
}

/** `1 row`, `12,000 rows`. */
export function amount(n: number, what: string): string {
  return `${Math.round(n).toLocaleString('en')} ${what}${Math.round(n) === 1 ? '' : 's'}`
}

function kilobytes(kB: number): string {
  return kB < 10_000 ? `${kB.toLocaleString('en')} kB` : `${Math.round(kB / 1024).toLocaleString('en')} MB`
}
