/**
 * One PostgreSQL backend: a postgres.js client with `max: 1` on a socket of our own that connects exactly once.
 *
 *   open ──close()──▶ closing ──▶ closed        open ──loss, destroy()──▶ closed
 *
 * postgres.js would reconnect silently after a loss, with the transaction and its settings gone; here the second
 * connect is refused, and a lost connection refuses every statement (`ConnectionLost`). Nothing of postgres.js's pool,
 * `begin`, `reserve` or `cancel` is used. Statements sent without waiting are pipelined, in order.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import postgres from 'postgres'
import { describeAddress, type ServerAddress } from '../config.ts'
import { ConfigInvalid, ConnectionLost, RivuletError, UsageError } from '../errors.ts'
import { fromServerError, isServerError } from '../sqlstate.ts'
import { encodeParameter, installCodecs, type TypedParameter } from './codec.ts'
import { type Dispatch, dispatchOf, type DriverOptions, DriverStatement, type Settle } from './driver-statement.ts'
import { openSocket, sendCancelRequest } from './socket.ts'
import { StatusTail, type TransactionStatus } from './status-tail.ts'

/** Rows as the driver gives them: objects by column name, or arrays by position. */
export interface Result<TRow = unknown> extends Array<TRow> {
  /** Rows returned or touched; null for commands that count nothing. */
  readonly count: number | null
  /** The command tag, such as SELECT, INSERT or SET. */
  readonly command: string
  readonly columns: readonly { readonly name: string; readonly type: number }[]
}

/** What becomes of an answer, and of a failure, before anybody sees it; a promise fewer than waiting for both. */
export interface Outcome<T> {
  readonly answered: (result: Result) => T
  readonly failed: (error: unknown) => T | Promise<T>
}

/** How a statement is sent. */
export interface StatementOptions {
  /** Rows as arrays of values in column order instead of objects. */
  readonly arrays?: boolean
  /** Parse once a connection under a name: one round trip from the second use on. */
  readonly prepare?: boolean
  /** What each parameter is for, such as a column: errors about its value say so. */
  readonly names?: readonly (string | undefined)[] | undefined
}

/** A statement takes at most this many parameters (postgres.js refuses 65,534 and would then hang the rest). */
const maxParameters = 65_533

/** Milliseconds a close may take before the socket is destroyed. */
const closeGraceMs = 1000

// `simple: false` keeps even a statement without parameters to the extended protocol: one statement, never a script.
const preparedStatement: DriverOptions = { prepare: true, simple: false }
const unpreparedStatement: DriverOptions = { prepare: false, simple: false }
const wholeScript: DriverOptions = { prepare: false, simple: true }

type Client = postgres.Sql<Record<string, never>>
type Backend = { readonly pid: number; readonly secret: number }

export class Connection {
  readonly backendPid: number
  readonly openedAt = performance.now()
  /** Set once the connection can no longer be used; every later statement is rejected with it. */
  lost: ConnectionLost | undefined
  /** Statements sent whose answer is not complete. */
  inFlight = 0
  /** The server's own statement_timeout in milliseconds; 0 is none. A deadline never loosens it. */
  readonly serverTimeoutMs: number
  /** The statement_timeout in force for the session in milliseconds; 0 is the server's default. */
  statementTimeoutMs = 0
  /** Distinct statements to prepare here at most. */
  maxPreparedStatements = Infinity
  /** Called once, when the socket has closed for whatever reason. */
  onClosed: (() => void) | undefined
  readonly #client: Client
  readonly #dispatch: Dispatch
  readonly #socket: Socket
  readonly #address: ServerAddress
  readonly #backend: Backend
  readonly #prepared = new Set<string>()
  readonly #tail: StatusTail
  readonly #typed: (parameter: TypedParameter) => unknown
  readonly #quiet: (() => void)[] = []
  #closing: Promise<void> | undefined
  readonly #closed: Promise<void>

  constructor(client: Client, socket: Socket, address: ServerAddress, backend: Backend, serverTimeoutMs: number) {
    this.serverTimeoutMs = serverTimeoutMs
    this.#client = client
    this.#dispatch = dispatchOf(client)
    this.#socket = socket
    this.#address = address
    this.#backend = backend
    this.backendPid = backend.pid
    this.#typed = ({ value, type }) => client.typed(value as never, type)
    this.#tail = new StatusTail(socket)
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.lose(new ConnectionLost(`the connection to ${describeAddress(address)} was closed`))
        this.onClosed?.()
        resolve()
      })
    })
  }

  /**
   * What the server last said about a transaction; only meaningful while no statement is in flight. Undefined when it
   * has said something else since, such as that it is being shut down.
   */
  get transactionStatus(): TransactionStatus | undefined {
    return this.#tail.status
  }

  /** Distinct statements prepared here; postgres.js never frees one. */
  get preparedStatements(): number {
    return this.#prepared.size
  }

  get closed(): Promise<void> {
    return this.#closed
  }

  /**
   * Sends one statement and answers its rows, or what `outcome` makes of them; `codec.ts` says how parameters and values
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
      options.prepare === true && this.#prepares(text, encoded) ? preparedStatement : unpreparedStatement
    return this.#send(text, encoded, driverOptions, options.arrays === true, outcome, options.names)
  }

  /** Sends a script of ours without parameters: several statements, one round trip. */
  script<T = Result>(text: string, outcome?: Outcome<T>): Promise<T> {
    return this.#send(text, [], wholeScript, false, outcome)
  }

  /** Resolves when no statement is in flight. */
  async quiet(): Promise<void> {
    while (this.inFlight > 0) await new Promise<void>((resolve) => this.#quiet.push(resolve))
  }

  /** Asks the server to stop what runs here. The connection must not be used for anything new afterwards. */
  cancel(signal: AbortSignal): Promise<void> {
    return sendCancelRequest(this.#address, this.#backend, signal)
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
    // With statements still in flight the server would finish them first; on a lost connection nobody answers.
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

  /**
   * Whether a statement is prepared: once there are as many as may be, further ones are not until the connection is
   * replaced, because none is ever freed. Like the driver, it tells statements apart by text and parameter types.
   */
  #prepares(text: string, encoded: readonly unknown[]): boolean {
    let statement = text
    for (let index = 0; index < encoded.length; index++) {
      const value = encoded[index]
      if (typeof value === 'object' && value !== null) statement += `;${index}:${(value as TypedParameter).type}`
    }
    if (this.#prepared.has(statement)) return true
    if (this.#prepared.size >= this.maxPreparedStatements) return false
    this.#prepared.add(statement)
    return true
  }

  #send<T>(
    text: string,
    parameters: readonly unknown[],
    options: DriverOptions,
    arrays: boolean,
    { answered, failed }: Outcome<T> = asItIs as Outcome<T>,
    names?: StatementOptions['names'],
  ): Promise<T> {
    const { lost } = this
    if (lost) {
      const error = new ConnectionLost('the connection was lost: nothing more can run in this session', { cause: lost })
      return refused(error, failed)
    }
    this.inFlight += 1
    const answer = new Promise<Result | Duplex>((resolve, reject) => {
      this.#dispatch(new DriverStatement(text, parameters, options, arrays, resolve as Settle, reject))
    })
    // Not done while the driver reads the answer: what is thrown here, and whose context it is, are the caller's affair.
    return answer.then(
      (result) => {
        this.#countDown()
        return Array.isArray(result) ? answered(result) : failed(this.#copied(result as Duplex))
      },
      (error: unknown) => {
        this.#countDown()
        return failed(this.#translate(error, names))
      },
    )
  }

  /** A COPY that was not recognised by its text: postgres.js answers with a stream that occupies the connection. */
  #copied(stream: Duplex): UsageError {
    stream.on('error', () => undefined)
    this.destroy()
    return new UsageError('COPY from stdin or to stdout is not for sessions: use insertMany, stream, or psql')
  }

  #countDown(): void {
    this.inFlight -= 1
    if (this.inFlight > 0 || this.#quiet.length === 0) return
    for (const resolve of this.#quiet.splice(0)) resolve()
  }

  #translate(error: unknown, names: StatementOptions['names']): unknown {
    if (error instanceof RivuletError) return error
    if (isServerError(error)) {
      const typed = fromServerError(error, names)
      if (typed instanceof ConnectionLost) this.lose(typed)
      return typed
    }
    const lost = new ConnectionLost('the connection broke while the statement ran', { cause: withoutQuery(error) })
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

/** What `openConnection` needs to know. */
export interface ConnectionConfig {
  readonly address: ServerAddress
  readonly connectTimeoutMs: number
  /** Gives up connecting when aborted; the reason is thrown. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Connects, authenticates and answers a usable connection.
 * @throws ConnectionLost when the server cannot be reached or breaks off, ConfigInvalid when it refuses who we are.
 */
export async function openConnection({ address, connectTimeoutMs, signal }: ConnectionConfig): Promise<Connection> {
  const abort = new AbortController()
  let socket: Socket | undefined
  const giveUp = (error: Error) => {
    abort.abort(error)
    socket?.destroy(error)
  }
  const expired = new ConnectionLost(`${describeAddress(address)} did not answer within ${connectTimeoutMs} ms`)
  const timer = setTimeout(() => giveUp(expired), connectTimeoutMs)
  const onAbort = () => giveUp(signal?.reason as Error)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    signal?.throwIfAborted()
    socket = await openSocket(address, abort.signal)
    const client = createClient(address, socket)
    // The first statement completes the handshake; postgres.js then knows the backend's pid and cancel key.
    const first = client.unsafe(askTimeout)
    const [row] = (await Promise.race([first, brokenOff(socket, abort.signal)])) as unknown as [{ ms: number }]
    const backend = (first as unknown as { state: Backend }).state
    return new Connection(client, socket, address, { pid: backend.pid, secret: backend.secret }, row.ms)
  } catch (error) {
    socket?.destroy()
    if (abort.signal.aborted) throw abort.signal.reason
    if (error instanceof RivuletError) throw error
    if (isServerError(error)) throw refusal(error)
    throw new ConnectionLost(`${describeAddress(address)} broke off while connecting`, { cause: withoutQuery(error) })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** The limit that server, database or role put on a statement, in milliseconds; 0 is none. */
const askTimeout = `select extract(epoch from current_setting('statement_timeout')::interval)::float8 * 1000 as ms`

/** Rejects when the socket closes or connecting is given up: postgres.js may then leave its statement unanswered. */
function brokenOff(socket: Socket, signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const onClose = () => reject(new Error('the server hung up'))
    if (socket.destroyed) onClose()
    socket.once('close', onClose)
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

function createClient(address: ServerAddress, socket: Socket): Client {
  let used = false
  const client = postgres({
    host: address.host,
    port: address.port,
    database: address.database,
    user: address.user,
    password: address.password,
    ssl: false,
    max: 1,
    idle_timeout: 0,
    max_lifetime: 0,
    connect_timeout: 0,
    keep_alive: 0,
    fetch_types: false,
    prepare: true,
    backoff: () => 0,
    // Dates are read in ISO style whatever the role or the database prefers; the order of input stays theirs.
    connection: { ...address.startup, DateStyle: 'ISO' },
    onnotice: () => undefined,
    socket: () => {
      // postgres.js asks again when it would reconnect: this connection is over instead.
      if (used) throw new ConnectionLost('the connection was lost')
      used = true
      return socket
    },
  } as unknown as postgres.Options<Record<string, never>>) as unknown as Client
  installCodecs(client.options)
  return client
}

function refusal(error: Parameters<typeof fromServerError>[0]): RivuletError {
  const typed = fromServerError(error)
  if (typed instanceof ConfigInvalid) return typed
  const { cause } = typed
  const reason = cause instanceof Error ? cause.message : typed.message
  // 53300 too many connections, 55000, 57P03 starting up, …: the server is there but takes nobody now.
  if (/^(?:08|53|55|57)/.test(error.code))
    return new ConnectionLost(`the server takes no connection: ${reason}`, { cause })
  return new ConfigInvalid(`the server refused the connection: ${reason}`, { cause })
}

/** postgres.js hangs the statement and its parameters on every error; they must not travel on. */
function withoutQuery(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { code } = error as NodeJS.ErrnoException
  return Object.assign(new Error(error.message), { name: error.name }, code === undefined ? {} : { code })
}
