/** What a repository needs of a session: any session of an engine is one. */
import type { Drizzle, StatementRunner, Streamable } from '../../drizzle/driver.ts'
import type { CursorOptions } from '../../session/server-cursor.ts'

export interface RepositoryRunner extends StatementRunner {
  readonly drizzle: Drizzle
  readonly inTransaction: boolean
  /** A promise for the task, of work on this session: it fails unseen once the task is gone. */
  hand<T>(work: Promise<T>): Promise<T>
  readonly stream: <TRow>(query: Streamable<TRow>, options?: CursorOptions) => AsyncGenerator<TRow, void, undefined>
}
