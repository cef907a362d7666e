/** A session with repositories: what the engine gives to tasks. */
import type { Schema } from '../drizzle/driver.ts'
import { TaskSession } from '../session/session.ts'
import type { Source } from './types/conventions.ts'
import type { RepositoryOf } from './types/operations.ts'
import { createRepository } from './table-repository.ts'

export class RepositorySession<TSchema extends Schema = Schema> extends TaskSession<TSchema> {
  /** Typed operations on one table or view: `session.repository(products).get(id)`. */
  get repository(): <TSource extends Source>(source: TSource) => RepositoryOf<TSource, TSchema> {
    return (source) => createRepository(this, source)
  }
}
