/** What a migrator reports while it runs, for a person who watches or a program that logs. */

export type MigrationProgress =
  /** Another backend has the migration lock; reported again every few seconds. */
  | {
      readonly type: 'lock.awaited'
      readonly pid: number | undefined
      /** The application_name of that backend. */
      readonly application: string | undefined
      readonly waitedMs: number
    }
  | {
      readonly type: 'file.started'
      readonly file: string
      readonly statements: number
      readonly transactional: boolean
    }
  /** About to send statement `statement`, counted from 1. */
  | { readonly type: 'statement.started'; readonly file: string; readonly statement: number; readonly line: number }
  /** All statements are done; the ledger is written and the transaction committed next. */
  | { readonly type: 'file.executed'; readonly file: string }
  /** A table was locked for longer than the lock timeout: the file was rolled back and is run again. */
  | {
      readonly type: 'file.gave_way'
      readonly file: string
      readonly statement: number
      readonly delayMs: number
      /** The oldest open transaction of another session, which probably holds the lock. */
      readonly oldest: { readonly pid: number; readonly application: string; readonly ageMs: number } | undefined
    }
  /** A statement that blocks no other session waits for the transactions of others; reported every few seconds. */
  | {
      readonly type: 'transactions.awaited'
      readonly file: string
      readonly statement: number
      /** Backends it waits for, and their application_name. */
      readonly blockers: readonly { readonly pid: number; readonly application: string }[]
      readonly waitedMs: number
    }
  /** An interrupted run left this index; it is built again. */
  | { readonly type: 'index.dropped'; readonly file: string; readonly index: string }
  /** A file without a transaction was interrupted earlier and resumes at this statement. */
  | { readonly type: 'file.resumed'; readonly file: string; readonly statement: number }
  | { readonly type: 'file.applied'; readonly file: string; readonly name: string; readonly durationMs: number }

/** Receives progress, synchronously. */
export type OnProgress = (progress: MigrationProgress) => void
