/**
 * One PostgreSQL backend: a postgres.js client with `max: 1` on a socket of our own that connects exactly once. Its states,
 * and those of a statement on it, are drawn in `src/README.md`.
 *
 * postgres.js would reconnect silently after a loss, with the transaction and its settings gone; here the second
 * connect is refused, and a lost connection refuses every statement (`ConnectionLost`). Nothing of postgres.js's pool,
 * `begin`, `reserve` or `cancel` is used.
 *
 * Statements sent without waiting are pipelined, in order. A statement may have steps in front of it (`batch.ts`): their
 * batch begins when nothing else is under way, and what is sent after it waits for its answer. When a step is refused,
 * so is all that waits. When the socket closes, every statement that has no answer is rejected then, in order: the
 * driver would forget those that it had not sent yet.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { describeAddress, type ServerAddress } from '../address/server-address.ts'
import { ConnectionLost, RivuletError, UsageError } from '../errors.ts'
import { fromServerError, isServerError } from '../sqlstate.ts'
import type { Step } from './batch.ts'
import { encodeParameter, type TypedParameter } from './codec.ts'
import type { Backend, Client, ConnectionParts } from './connection-parts.ts'
import type { DriverSocket } from './driver-socket.ts'
import { type Dispatch, dispatchOf, type DriverOptions, DriverStatement, type Settle } from './driver-statement.ts'
import { PreparedStatements } from './prepared-statements.ts'
import type { MessageListener, RowSink, ServerMessages, TransactionStatus } from './server-messages.ts'
import type { ServerState } from './server-state.ts'
import { sendCancelRequest } from './socket.ts'

/** Rows as the driver gives them: objects by column name, or arrays by position. */
export interface Result<TRow = unknown> extends Array<TRow> {
  /** Rows returned or touched; null for commands that count nothing. */
  readonly count: number | null
  /** The command tag, such as SELECT, INSERT or SET. */
  readonly command: string
  readonly columns: readonly { readonly name: string; readonly type: number }[]
}

/** What becomes of an answer, and of a failure, before the caller sees it; a promise fewer than waiting for both. */
export interface Outcome<T> {
  readonly answered: (result: Result) => T
  /** `refusedStep` is what the server refused in front of the statement, which was skipped. */
  readonly failed: (error: unknown, refusedStep?: Step) => T | Promise<T>
  /**
   * Called when a statement that had been prepared earlier failed before it was bound: nothing of it has run, and
   * parsed anew it may fit. Returns the steps to put in front of it then; undefined lets it fail.
   */
  readonly again?: (error: unknown) => readonly Step[] | undefined
}

/** How a statement is sent. */
export interface StatementOptions {
  /** Rows as arrays of values in column order instead of objects. */
  readonly arrays?: boolean | undefined
  /** Parse once a connection under a name: one round trip from the second use on. */
  readonly prepare?: boolean | undefined
  /** What each parameter is for, such as a column: errors about its value say so. */
  readonly names?: readonly (string | undefined)[] | undefined
  /** Takes the rows as the server writes them: the result has none. It must not throw. */
  readonly rows?: RowSink | undefined
  /**
   * Called once the statement is certain to be sent, and not before: returns what travels in front of it, in its batch.
   * It runs only if none of that is refused.
   */
  readonly steps?: (() => readonly Step[] | undefined) | undefined
}

/** A statement takes at most this many parameters (postgres.js refuses 65,534 and would then hang the rest). */
export const maxParameters = 65_533

/** SQLSTATE of a write in a transaction that is read-only. */
const readOnlyState = '25006'

/** Milliseconds a close may take before the socket is destroyed. */
const closeGraceMs = 1000

// `simple: false` keeps even a statement without parameters to the extended protocol: one statement, never a script.
const preparedStatement: DriverOptions = { prepare: true, simple: false }
const unpreparedStatement: DriverOptions = { prepare: false, simple: false }
const wholeScript: DriverOptions = { prepare: false, simple: true }
const noOptions: StatementOptions = {}

/** A statement with all that goes with it. */
interface StatementRequest<T> {
  readonly text: string
  readonly parameters: readonly unknown[]
  readonly driverOptions: DriverOptions
  readonly options: StatementOptions
  readonly outcome: Outcome<T> | undefined
}

/** A connection as those above it see it: the sandbox of `testing/` has connections of its own. */
export type Connection = Omit<SocketConnection, keyof MessageListener>

export class SocketConnection implements MessageListener {
  readonly backendPid: number
  readonly openedAt = performance.now()
  /** Set once the connection can no longer be used; every later statement is rejected with it. */
  lost: ConnectionLost | undefined
  /** Statements given to this connection whose outcome is not known. */
  inFlight = 0
  /** Where it leads: one place, by its network address. */
  readonly address: ServerAddress
  readonly backend: Backend
  readonly server: ServerState
  /** Set when the server refused a write because it takes none (25006), and not because the transaction was read-only. */
  refusedWrite = false
  /** The statement_timeout in force for the session in milliseconds; 0 is the server's default. */
  statementTimeoutMs = 0
  readonly prepared = new PreparedStatements()
  readonly #client: Client
  readonly #dispatch: Dispatch
  readonly #socket: Socket
  readonly #driverSocket: DriverSocket
  readonly #messages: ServerMessages
  /** Statements that the server has not answered, in order: first those the driver has, then those that wait. */
  readonly #unanswered: DriverStatement[] = []
  /** How many of them the driver has. */
  #sent = 0
  /** The statement whose batch is under way. */
  #batch: DriverStatement | undefined
  readonly #typed: (parameter: TypedParameter) => unknown
  readonly #quiet: (() => void)[] = []
  #closing: Promise<void> | undefined
  readonly #closed: Promise<void>

  constructor({ client, socket, driverSocket, messages, address, backend, server }: ConnectionParts) {
    this.#client = client
    this.#dispatch = dispatchOf(client)
    this.#socket = socket
    this.#driverSocket = driverSocket
    this.#messages = messages
    messages.listener = this
    this.address = address
    this.backend = backend
    this.server = server
    this.backendPid = backend.pid
    this.#typed = ({ value, type }) => client.typed(value as never, type)
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.lose(new ConnectionLost(`the connection to ${describeAddress(address)} was closed`))
        // First: the pool counts it as lost before a task that fails for it gives it back.
        resolve()
        this.#rejectFrom(0, new ConnectionLost('the connection broke while the statement ran', { cause: this.lost }))
      })
    })
  }

  /**
   * What the server last said about a transaction; only meaningful while no statement is in flight. Undefined when it
   * has said something else since, such as that it is being shut down.
   */
  get transactionStatus(): TransactionStatus | undefined {
    return this.#messages.status
  }

  /** The server's own statement_timeout in milliseconds; 0 is none. A deadline never loosens it. */
  get serverTimeoutMs(): number {
    return this.server.timeoutMs
  }

  /** How much the server has said so far. */
  get bytesRead(): number {
    return this.#socket.bytesRead
  }

  /** Resolves when the socket has closed, for any reason. */
  get closed(): Promise<void> {
    return this.#closed
  }

  /**
   * Sends one statement and returns its rows, or what `outcome` makes of them; `codec.ts` says how parameters and values
   * travel. Outcomes come in the order in which the statements were sent.
   * @throws ConnectionLost, or the typed error for what the server says (see `sqlstate.ts`).
   */
  query<T = Result>(
    text: string,
    parameters: readonly unknown[],
    options: StatementOptions = {},
    outcome?: Outcome<T>,
  ): Promise<T> {
    let encoded: unknown[]
    try {
      encoded = this.#encoded(parameters)
    } catch (error) {
      return refused(error, outcome?.failed)
    }
    const driverOptions =
      options.prepare === true && this.prepared.takes(text, encoded) ? preparedStatement : unpreparedStatement
    return this.#send({ text, parameters: encoded, driverOptions, options, outcome })
  }

  /** @throws what `query` rejects with for values that cannot be sent. */
  check(parameters: readonly unknown[]): void {
    this.#encoded(parameters)
  }

  /** Sends a script of ours without parameters: several statements, one round trip. */
  script<T = Result>(text: string, outcome?: Outcome<T>): Promise<T> {
    return this.#send({ text, parameters: [], driverOptions: wholeScript, options: noOptions, outcome })
  }

  /** True while it has nothing to do and is in no transaction, leased or not. */
  get isQuiet(): boolean {
    return !this.lost && this.inFlight === 0 && this.transactionStatus === 'I'
  }

  /** Resolves when no statement is in flight. */
  async quiet(): Promise<void> {
    while (this.inFlight > 0) await new Promise<void>((resolve) => this.#quiet.push(resolve))
  }

  /** Asks the server to stop what runs here. The connection must not be used for anything new afterwards. */
  cancel(signal: AbortSignal): Promise<void> {
    return sendCancelRequest(this.address, this.backend, signal)
  }

  /** Rejects the statements that have not been sent, because they wait for a batch. */
  discard(error: RivuletError): void {
    this.#rejectFrom(this.#sent, error)
  }

  /** Marks the connection as lost without touching the socket: nothing more is sent. */
  lose(error: ConnectionLost): void {
    this.lost ??= error
  }

  /** Says goodbye and waits for the server to hang up; destroys the socket after a second. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Drops the socket at once. */
  destroy(): void {
    this.lose(new ConnectionLost('the connection was destroyed'))
    this.#socket.destroy()
  }

  async #close(): Promise<void> {
    const polite = this.lost === undefined && this.inFlight === 0
    this.lose(new ConnectionLost('the connection is being closed'))
    const timer = setTimeout(() => this.#socket.destroy(), closeGraceMs)
    // With statements still in flight the server would finish them first; on a lost connection no answer comes.
    if (!polite) this.#socket.destroy()
    // What `end` promises is not to be relied upon: it may resolve early, or never.
    else void Promise.resolve(this.#client.end({ timeout: closeGraceMs / 1000 })).catch(() => undefined)
    await this.#closed
    clearTimeout(timer)
  }

  #encoded(parameters: readonly unknown[]): unknown[] {
    if (parameters.length > maxParameters) {
      throw new UsageError(
        `a statement takes at most ${maxParameters} parameters, not ${parameters.length}: send it in parts`,
      )
    }
    const encoded: unknown[] = []
    for (const parameter of parameters) encoded.push(encodeParameter(parameter, encoded.length + 1, this.#typed))
    return encoded
  }

  /** Sends a statement, or lets it wait at `place` among the unanswered; by default behind all others. */
  #send<T>(request: StatementRequest<T>, place = this.#unanswered.length): Promise<T> {
    const { options, outcome = asItIs as Outcome<T> } = request
    const { lost } = this
    if (lost) {
      const error = new ConnectionLost('the connection was lost: nothing more can run in this session', { cause: lost })
      return refused(error, outcome.failed)
    }
    this.inFlight += 1
    let statement!: DriverStatement
    const steps = options.steps?.()
    const answer = new Promise<Result | Duplex>((resolve, reject) => {
      statement = new DriverStatement(request, resolve as Settle, reject)
      statement.steps = steps
      this.#unanswered.splice(place, 0, statement)
      this.#advance()
    })
    // Not done while the driver reads the answer: what is thrown here, and whose context it is, are the caller's affair.
    return answer.then(
      (result) => {
        this.#settled(statement)
        return Array.isArray(result) ? outcome.answered(result) : outcome.failed(this.#copied(result as Duplex))
      },
      (reason: unknown) => this.#failed(request, statement, reason),
    )
  }

  #failed<T>(request: StatementRequest<T>, statement: DriverStatement, reason: unknown): T | Promise<T> {
    const { outcome = asItIs as Outcome<T>, options } = request
    const neverRan = statement.neverRan && isServerError(reason)
    const refusedStep = neverRan ? statement.steps?.[statement.refusedStep ?? -1] : undefined
    const translated = this.#translate(reason, options.names)
    const error = refusedStep?.told ? refusedStep.told(translated) : translated
    // What waits was to run behind the step, not without it.
    if (refusedStep) this.#rejectFrom(this.#sent, error)
    const outdated = neverRan && statement.reused && !refusedStep
    const steps = outdated ? outcome.again?.(error) : undefined
    // In front of what waits, so that the order stays.
    const again =
      steps &&
      this.#send(
        { ...request, driverOptions: unpreparedStatement, options: { ...options, steps: () => steps } },
        this.#sent,
      )
    this.#settled(statement)
    return again ?? outcome.failed(error, refusedStep)
  }

  /** Gives the driver what may be sent now. */
  #advance(): void {
    while (this.#sent < this.#unanswered.length && this.#batch === undefined) {
      const next = this.#unanswered[this.#sent]
      if (next === undefined || (next.steps?.length && this.#sent > 0)) return
      this.#sent += 1
      if (this.#sent === 1) this.#messages.rows = next.rows
      if (next.steps?.length) {
        this.#batch = next
        this.#driverSocket.precede(next.steps)
      }
      this.#dispatch(next)
    }
  }

  /** The server has answered the first statement; the driver reads the answer next. */
  ready(neverRan: boolean): void {
    const statement = this.#unanswered.shift()
    if (!statement) return
    this.#sent -= 1
    this.#messages.rows = this.#unanswered[0]?.rows
    statement.neverRan = neverRan
    if (statement.steps?.length) statement.refusedStep = this.#messages.refusedStep
  }

  setting(name: string, value: string): void {
    this.server.report(name, value)
  }

  #settled(statement: DriverStatement): void {
    if (this.#batch === statement) this.#batch = undefined
    if (this.lost) this.#rejectFrom(this.#sent, this.lost)
    this.#advance()
    this.inFlight -= 1
    if (this.inFlight > 0 || this.#quiet.length === 0) return
    for (const resolve of this.#quiet.splice(0)) resolve()
  }

  #rejectFrom(index: number, error: unknown): void {
    for (const statement of this.#unanswered.splice(index)) statement.reject(error)
    if (this.#sent > index) this.#sent = index
  }

  /** A COPY that was not recognised by its text: postgres.js answers with a stream that occupies the connection. */
  #copied(stream: Duplex): UsageError {
    stream.on('error', () => undefined)
    this.destroy()
    return new UsageError('COPY from stdin or to stdout is not for sessions: use insertMany, stream, or psql')
  }

  #translate(error: unknown, names: StatementOptions['names']): unknown {
    if (error instanceof RivuletError) return error
    if (isServerError(error)) {
      if (error.code === readOnlyState) this.refusedWrite = true
      const typed = fromServerError(error, names)
      if (typed instanceof ConnectionLost) this.lose(typed)
      return typed
    }
    const cause = this.lost ?? withoutQuery(error)
    const lost = new ConnectionLost('the connection broke while the statement ran', { cause })
    this.lose(lost)
    // Anything postgres.js throws that is no answer of the server leaves the protocol in an unknown state.
    this.#socket.destroy()
    return lost
  }
}

const asItIs: Outcome<Result> = {
  answered: (result) => result,
  failed: (error) => {
    throw error
  },
}

/** The outcome of a statement that is not sent. */
function refused<T>(reason: unknown, failed: Outcome<T>['failed'] | undefined): Promise<T> {
  const refusal = Promise.reject(reason)
  return failed ? refusal.catch(failed) : refusal
}

/** postgres.js hangs the statement and its parameters on every error; they must not travel on. */
export function withoutQuery(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { code } = error as NodeJS.ErrnoException
  return Object.assign(new Error(error.message), { name: error.name }, code === undefined ? {} : { code })
}
