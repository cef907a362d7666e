/** What a repository needs of a session: the session behind that of any task is one. */
import type { CursorQuery, Drizzle, StatementRunner } from '../../drizzle/driver.ts'
import type { BatchOptions, CursorOptions } from '../../session/server-cursor.ts'

export interface RepositoryRunner extends StatementRunner {
  readonly drizzle: Drizzle
  readonly inTransaction: boolean
  /** A promise for the task, of work on this session: it fails unseen once the task is gone. */
  track<T>(work: Promise<T>): Promise<T>
  stream<TRow>(render: () => CursorQuery<TRow>, options?: CursorOptions): AsyncGenerator<TRow, void, undefined>
  /** The same, a batch at a time. */
  batches<TRow>(
    render: () => CursorQuery<TRow>,
    options: BatchOptions,
  ): AsyncGenerator<readonly TRow[], void, undefined>
}
