/**
 * Which statements of a lease are prepared. Not those of a task that sets its search path, because what is prepared under
 * one may mean something else under another; nor any once one has failed before it was bound, as others may fail, too.
 */
import type { Connection } from '../pool/connection.ts'
import type { OpenTransaction } from './open-transaction.ts'
import { statementTraits } from './statement-traits.ts'

export class PreparedUse {
  readonly #connection: Connection
  /** False behind a transaction pooler: the server process is another one each time. */
  readonly #ownsServerSession: boolean
  #setsSearchPath = false
  readonly #suspected: string[] = []

  constructor(connection: Connection, ownsServerSession: boolean) {
    this.#connection = connection
    this.#ownsServerSession = ownsServerSession
  }

  /** Whether a statement may be prepared: should it be outdated, it can be repeated. */
  allows(text: string, transaction: OpenTransaction | undefined): boolean {
    if (statementTraits(text).setsSearchPath) this.#setsSearchPath = true
    if (!this.#ownsServerSession || this.#suspected.length > 0 || this.#setsSearchPath) return false
    return !this.#connection.server.hasChanged('search_path') && (transaction?.mayPrepare ?? true)
  }

  /** A prepared statement has failed before it was bound. */
  suspect(text: string): void {
    this.#suspected.push(text)
  }

  /** Parsed anew it fits: it is not prepared any more on any connection. Returns whether anything was suspected. */
  confirm(): boolean {
    for (const text of this.#suspected) this.#connection.prepared.unprepared.add(text)
    return this.#suspected.length > 0
  }
}
