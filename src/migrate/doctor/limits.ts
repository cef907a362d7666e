/** From when on something ails: the thresholds of the doctor's rules, with units, ranges and defaults. */
import { UsageError } from '../../errors.ts'

/** The thresholds. */
export interface HealthLimits {
  /** Days that the statistics have to cover before an index counts as unused. 0 to 3,650; default 7. */
  readonly unusedDays: number
  /** Reads of a table in that time, of which none used the index. 0 to 1e15; default 1,000. */
  readonly unusedReads: number
  /** Bytes of an index below which it is not reported as unused. 0 to 1e15; default 1,048,576. */
  readonly unusedBytes: number
  /** Percent of the values of a sequence, or of its column, that are used up. 0 to 100; default 75. */
  readonly sequencePercent: number
  /** Percent of a table or an index that is empty space. 0 to 100; default 50. */
  readonly bloatPercent: number
  /** Bytes of that space, at least. 0 to 1e15; default 104,857,600. */
  readonly bloatBytes: number
  /** Percent of the rows of a table that are dead. 0 to 100; default 20. */
  readonly deadPercent: number
  /** Dead rows of a table, at least. 0 to 1e15; default 10,000. */
  readonly deadRows: number
  /** Milliseconds that a transaction may be open, prepared ones included. 0 to 1e15; default 300,000. */
  readonly transactionMs: number
  /** Milliseconds that a transaction may wait for its client. 0 to 1e15; default 60,000. */
  readonly idleTransactionMs: number
  /** Transactions whose dead rows a replication slot may keep. 0 to 1e15; default 100,000. */
  readonly slotTransactions: number
  /** Bytes of write-ahead log that a replication slot without a client may keep. 0 to 1e15; default 1,073,741,824. */
  readonly slotBytes: number
}

const unlimited = 1e15

/** Default and greatest value of each; the least is 0. */
export const limitRanges: Readonly<Record<keyof HealthLimits, readonly [fallback: number, most: number]>> = {
  unusedDays: [7, 3650],
  unusedReads: [1000, unlimited],
  unusedBytes: [1_048_576, unlimited],
  sequencePercent: [75, 100],
  bloatPercent: [50, 100],
  bloatBytes: [104_857_600, unlimited],
  deadPercent: [20, 100],
  deadRows: [10_000, unlimited],
  transactionMs: [300_000, unlimited],
  idleTransactionMs: [60_000, unlimited],
  slotTransactions: [100_000, unlimited],
  slotBytes: [1_073_741_824, unlimited],
}

/** The given thresholds, and the defaults for the others. @throws UsageError for one out of range */
export function limitsFrom(given: Partial<HealthLimits> = {}): HealthLimits {
  const entries = Object.entries(limitRanges).map(([name, [fallback, most]]) => {
    const value = given[name as keyof HealthLimits] ?? fallback
    if (typeof value === 'number' && value >= 0 && value <= most) return [name, value]
    throw new UsageError(`the limit ${name} must be a number from 0 to ${most}`)
  })
  return Object.fromEntries(entries) as HealthLimits
}
