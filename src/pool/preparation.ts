/**
 * What the connections of a pool prepare, and for how long that is good: a bounded number of statements each, none of
 * those that depend on something else than their text, and all of them only until the columns change their types.
 */
import type { PoolSettings } from '../config.ts'
import type { RetireReason } from '../observe/observation.ts'
import { CatalogWatch, type Watched } from './catalog-watch.ts'
import type { Connection } from './connection.ts'
import { Unprepared } from './prepared-statements.ts'

export class Preparation {
  readonly #most: number
  readonly #unprepared = new Unprepared()
  readonly #watch: CatalogWatch

  constructor({ maxPreparedStatements, catalogCheckMs }: PoolSettings, watched: Watched) {
    this.#most = maxPreparedStatements
    const changed = () => {
      for (const { prepared } of watched.connections()) prepared.outdated = prepared.size > 0
      this.#unprepared.clear()
      watched.changed()
    }
    this.#watch = new CatalogWatch(catalogCheckMs, { ...watched, changed })
  }

  admit(connection: Connection): void {
    connection.prepared.most = this.#most
    connection.prepared.unprepared = this.#unprepared
    this.#watch.opened(connection)
  }

  /** A connection comes back from its task. */
  returned(connection: Connection): void {
    this.#watch.returned(connection)
  }

  /** Why a connection is to be replaced for what it has prepared. */
  outdates({ prepared }: Connection): RetireReason | undefined {
    if (prepared.size >= this.#most) return 'too_many_prepared_statements'
    return prepared.outdated ? 'prepared_statements_outdated' : undefined
  }

  stop(): void {
    this.#watch.stop()
  }
}
