/**
 * Looks at a database in use and says what ails it, rule by rule. It reads only, in one transaction with one snapshot, takes
 * no lock on any table, and works with what rights its role has: what it could not see, it says.
 */
import { UsageError } from '../../errors.ts'
import { optionNames } from '../../option-names.ts'
import type { Connection } from '../../pool/connection.ts'
import { isAnswer } from '../../sqlstate.ts'
import { withConnection } from '../connect.ts'
import { checkCommand } from '../options.ts'
import { deadRows, indexBloat, tableBloat } from './bloat.ts'
import { foreignKeyWithoutIndex } from './foreign-keys.ts'
import type { Ailment, Check, HealthRule, Look } from './health-rule.ts'
import { idleInTransaction, longTransaction, preparedTransaction, replicationSlot } from './held-back.ts'
import { type AcceptedFinding, checkAccepted } from './ignored-findings.ts'
import { invalidIndex } from './invalid-indexes.ts'
import { type HealthLimits, limitsFrom } from './limits.ts'
import { duplicateIndex, redundantIndex } from './needless-indexes.ts'
import { sequenceNearEnd } from './sequences.ts'
import { tableWithoutKey } from './tables.ts'
import { unusedIndex } from './unused-indexes.ts'

const checks: readonly Check[] = [
  foreignKeyWithoutIndex,
  invalidIndex,
  duplicateIndex,
  redundantIndex,
  unusedIndex,
  tableWithoutKey,
  sequenceNearEnd,
  tableBloat,
  indexBloat,
  deadRows,
  longTransaction,
  idleInTransaction,
  preparedTransaction,
  replicationSlot,
]

/** Every rule of the doctor. */
export const healthRules: readonly HealthRule[] = checks

/** The options of `examineDatabase`. */
export interface ExamineOptions {
  /** The names of the rules to look by. Default: all. */
  readonly rules?: readonly string[] | undefined
  /** The schemas to look at. Default: all but the server's own. */
  readonly schemas?: readonly string[] | undefined
  /** Findings that are accepted, with the reason. */
  readonly ignore?: readonly AcceptedFinding[] | undefined
  /** From when on something ails. */
  readonly limits?: Partial<HealthLimits> | undefined
  /** Milliseconds that a rule may look. 1 to 3,600,000; default 30,000. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const examineNames = optionNames<ExamineOptions>({
  rules: 'list',
  schemas: 'list',
  ignore: 'list',
  limits: optionNames<HealthLimits>({
    unusedDays: 'number',
    unusedReads: 'number',
    unusedBytes: 'number',
    sequencePercent: 'number',
    bloatPercent: 'number',
    bloatBytes: 'number',
    deadPercent: 'number',
    deadRows: 'number',
    transactionMs: 'number',
    idleTransactionMs: 'number',
    slotTransactions: 'number',
    slotBytes: 'number',
  }),
  timeoutMs: true,
  signal: 'signal',
})

/** What ails, found by a rule. */
export interface HealthFinding extends Ailment, Pick<HealthRule, 'why' | 'manual'> {
  readonly rule: string
}

/** The result of `examineDatabase`. */
export interface Examination {
  readonly findings: readonly HealthFinding[]
  /** Those that were accepted. */
  readonly ignored: readonly (HealthFinding & { readonly reason: string })[]
  /** What was accepted and is not there any more. */
  readonly needlessIgnores: readonly AcceptedFinding[]
  /** What the role, or the statistics, do not show. */
  readonly unseen: readonly { readonly rule: string; readonly what: string }[]
  /** Rules that could not look at all, and why: too slow, something locked. */
  readonly failed: readonly { readonly rule: string; readonly reason: string }[]
}

/**
 * Examines the database at `url`. A rule that fails does not keep the others from looking.
 * @throws UsageError for wrong options, ConfigInvalid or ConnectionLost where no connection can be had.
 */
export async function examineDatabase(url: string, options: ExamineOptions = {}): Promise<Examination> {
  checkCommand('examineDatabase', examineNames, url, options)
  const { rules, schemas, ignore = [], timeoutMs = 30_000, signal } = options
  const limits = limitsFrom(options.limits)
  const names = checks.map(({ name }) => name)
  checkAccepted(ignore, names)
  const strange = rules?.find((rule) => !names.includes(rule))
  if (strange !== undefined) throw new UsageError(`the doctor has no rule ${strange}; it has ${names.join(', ')}`)
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 3_600_000) {
    throw new UsageError('timeoutMs must be a whole number of milliseconds from 1 to 3600000')
  }
  signal?.throwIfAborted()
  const unseen: { rule: string; what: string }[] = []
  const failed: { rule: string; reason: string }[] = []
  const found: HealthFinding[] = []
  await withConnection(
    url,
    async (connection) => {
      const cancel = () => void connection.cancel(AbortSignal.timeout(5000)).catch(() => undefined)
      signal?.addEventListener('abort', cancel)
      try {
        await begin(connection, timeoutMs)
        await checkSchemas(connection, schemas)
        // Rules that ask the same are told the same.
        const answers = new Map<string, readonly unknown[]>()
        for (const check of checks.filter(({ name }) => rules?.includes(name) ?? true)) {
          const { name: rule, why, manual } = check
          const look: Look = {
            limits,
            rows: async <T>(query: string) => {
              const known = answers.get(query) ?? (await rowsOf<T>(connection, query, schemas))
              answers.set(query, known)
              return known as readonly T[]
            },
            unseen: (what) => unseen.push({ rule, what }),
          }
          try {
            await connection.script('savepoint rule')
            found.push(...(await check.find(look)).map((ailment) => ({ rule, ...ailment, why, manual })))
          } catch (error) {
            signal?.throwIfAborted()
            if (!isAnswer(error) || connection.lost) throw error
            failed.push({ rule, reason: (error as Error).message })
            await connection.script('rollback to savepoint rule')
          }
        }
        signal?.throwIfAborted()
        await connection.script('rollback')
      } finally {
        signal?.removeEventListener('abort', cancel)
      }
    },
    'rivulet doctor',
  )
  const acceptedAs = (finding: HealthFinding) => ignore.find((accepted) => isAccepted(finding, accepted))
  return {
    findings: found.filter((finding) => !acceptedAs(finding)),
    ignored: found.flatMap((finding) => {
      const accepted = acceptedAs(finding)
      return accepted ? [{ ...finding, reason: accepted.reason }] : []
    }),
    needlessIgnores: ignore.filter(
      (accepted) =>
        (rules?.includes(accepted.rule) ?? true) &&
        !failed.some(({ rule }) => rule === accepted.rule) &&
        !found.some((finding) => isAccepted(finding, accepted)),
    ),
    unseen,
    failed,
  }
}

async function begin(connection: Connection, timeoutMs: number): Promise<void> {
  // Sequences are locked while their last value is read, as their own ALTER would be.
  await connection.script(
    "begin isolation level repeatable read read only; set local search_path = ''; set local jit = off; " +
      `set local statement_timeout = ${timeoutMs}; set local lock_timeout = ${Math.min(timeoutMs, 1000)}; ` +
      'set local idle_in_transaction_session_timeout = 0',
  )
}

async function checkSchemas(connection: Connection, schemas: readonly string[] | undefined): Promise<void> {
  if (schemas === undefined) return
  const rows = await connection.query('select nspname as name from pg_namespace', [])
  const names = new Set((rows as unknown as { name: string }[]).map(({ name }) => name))
  const missing = schemas.find((schema) => !names.has(schema))
  if (missing !== undefined) throw new UsageError(`the database has no schema ${JSON.stringify(missing)}`)
}

async function rowsOf<T>(connection: Connection, query: string, schemas: readonly string[] | undefined) {
  const rows = (await connection.query(query, [])) as unknown as readonly (T & { readonly schema?: string })[]
  return rows.filter(({ schema }) => schema === undefined || (schemas?.includes(schema) ?? true))
}

function isAccepted(finding: HealthFinding, { rule, object }: AcceptedFinding): boolean {
  return finding.rule === rule && (object === undefined || object === finding.object || object === finding.table)
}
