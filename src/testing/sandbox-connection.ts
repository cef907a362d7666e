/**
 * A connection of a sandbox: for those above it a connection like any other, on the server a part of the sandbox's one
 * transaction (`outer-transaction.ts`).
 *
 *   open ──close()──▶ closing ──▶ closed        open ──destroy(), loss──▶ closed
 *
 * BEGIN becomes a savepoint, COMMIT its release and ROLLBACK a return to it; a statement by itself gets a savepoint of its
 * own. Settings of the session are put in force before each transaction of it, as others have theirs in between.
 * Statements run one by one, never prepared. One that is stopped is undone, and the connection to the server goes on.
 */
import { ConnectionLost, type RivuletError, UsageError } from '../errors.ts'
import type { Step } from '../pool/batch.ts'
import type { Connection, Outcome, Result, StatementOptions } from '../pool/connection.ts'
import { PreparedStatements } from '../pool/prepared-statements.ts'
import type { PoolLease } from '../pool/wait-queue.ts'
import type { Frame, FrameOwner, OuterTransaction } from './outer-transaction.ts'

/** A statement that waits, or runs. */
interface SandboxRequest {
  readonly text: string
  readonly parameters: readonly unknown[]
  readonly options: StatementOptions
  /** What travels in front of it. */
  readonly steps: readonly Step[]
  readonly isScript: boolean
  /** What the server refused in front of it. */
  refusedStep?: Step | undefined
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

export class SandboxConnection implements Connection, FrameOwner {
  readonly openedAt = performance.now()
  inFlight = 0
  /** A refused write tells nothing of the server here: it is not replaced for that. */
  refusedWrite = false
  statementTimeoutMs = 0
  readonly prepared = new PreparedStatements()
  lease: PoolLease | undefined
  /** Its task was cancelled: nothing more is sent, and it is closed as soon as what runs has been stopped. */
  givenUp = false
  settings: Step[] = []
  readonly #outer: OuterTransaction
  readonly #requests: SandboxRequest[] = []
  #lost: ConnectionLost | undefined
  #running = false
  /** The transaction that is open on this connection. */
  #frame: Frame | undefined
  readonly #quiet: (() => void)[] = []
  #closing: Promise<void> | undefined
  #hasClosed!: () => void
  readonly closed = new Promise<void>((resolve) => (this.#hasClosed = resolve))

  /** On a transaction that has begun. */
  constructor(outer: OuterTransaction) {
    this.#outer = outer
  }

  get lost(): ConnectionLost | undefined {
    return this.#lost ?? this.#outer.lost
  }

  get #server(): Connection {
    return this.#outer.connection
  }

  get backendPid() {
    return this.#server.backendPid
  }

  get backend() {
    return this.#server.backend
  }

  get address() {
    return this.#server.address
  }

  get server() {
    return this.#server.server
  }

  get bytesRead() {
    return this.#server.bytesRead
  }

  get serverTimeoutMs() {
    return this.#server.serverTimeoutMs
  }

  get transactionStatus() {
    return this.#frame ? (this.#frame.failed ? 'E' : 'T') : 'I'
  }

  get isQuiet(): boolean {
    return !this.lost && this.inFlight === 0 && !this.#frame
  }

  check(parameters: readonly unknown[]): void {
    this.#server.check(parameters)
  }

  query<T = Result>(
    text: string,
    parameters: readonly unknown[],
    options: StatementOptions = {},
    outcome?: Outcome<T>,
  ): Promise<T> {
    try {
      this.check(parameters)
    } catch (error) {
      return refused(error, outcome)
    }
    return this.#send({ text, parameters, options, isScript: false }, outcome)
  }

  script<T = Result>(text: string, outcome?: Outcome<T>): Promise<T> {
    return this.#send({ text, parameters: [], options: {}, isScript: true }, outcome)
  }

  async quiet(): Promise<void> {
    while (this.inFlight > 0) await new Promise<void>((resolve) => this.#quiet.push(resolve))
  }

  cancel(): Promise<void> {
    return this.#outer.stop(this)
  }

  discard(error: RivuletError): void {
    this.givenUp = true
    this.#outer.withdraw(this, error)
    this.#rejectWaiting(error)
  }

  lose(error: ConnectionLost): void {
    this.#lost ??= error
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** What runs is undone when the server has answered; nobody waits for that. */
  destroy(): void {
    this.lose(new ConnectionLost('the connection was destroyed'))
    this.#hasClosed()
    void this.close()
  }

  async #close(): Promise<void> {
    const error = new ConnectionLost('the connection is being closed')
    this.lose(error)
    this.discard(error)
    await this.quiet()
    if (this.#frame && !this.#server.lost) {
      await this.#outer.turn(this, true)
      // A failure has closed the connection to the server, and everything with it.
      await this.#end((frame) => this.#outer.undo(frame)).catch(() => undefined)
      this.#outer.pass()
    }
    this.#hasClosed()
  }

  #send<T>(
    given: Pick<SandboxRequest, 'text' | 'parameters' | 'options' | 'isScript'>,
    outcome: Outcome<T> = asItIs as Outcome<T>,
  ): Promise<T> {
    const { lost } = this
    if (lost) {
      const message = 'the connection was lost: nothing more can run in this session'
      return refused(new ConnectionLost(message, { cause: lost }), outcome)
    }
    const limit = given.isScript ? /^set statement_timeout = (\w+)$/.exec(given.text)?.[1] : undefined
    if (limit !== undefined) this.#limit(limit)
    this.inFlight += 1
    let request!: SandboxRequest
    const answer = new Promise<Result>((resolve, reject) => {
      request = { ...given, steps: given.options.steps?.() ?? [], resolve, reject }
      if (limit !== undefined) return resolve(emptyResult('SET'))
      this.#requests.push(request)
      void this.#drain()
    })
    return answer.then(
      (result) => {
        this.#settled()
        return outcome.answered(result)
      },
      (error: unknown) => {
        this.#settled()
        return outcome.failed(error, request.refusedStep)
      },
    )
  }

  /** The session's time limit: in force from its next transaction on, or its next statement. */
  #limit(value: string): void {
    this.settings = this.settings.filter(({ text }) => !text.startsWith(timeLimit))
    if (value !== 'default') this.settings.push({ text: `${timeLimit}${value}` })
  }

  /** Runs what waits, one by one. Never rejects. */
  async #drain(): Promise<void> {
    if (this.#running) return
    this.#running = true
    for (let request = this.#requests[0]; request; request = this.#requests[0]) {
      try {
        await this.#outer.turn(this)
        try {
          // Given up just when its turn came.
          if (this.#requests[0] !== request) continue
          this.#requests.shift()
          request.resolve(await this.#run(request))
        } finally {
          this.#outer.pass()
        }
      } catch (error) {
        if (this.#requests[0] === request) this.#requests.shift()
        request.reject(error)
        // What waits was to run behind the step, not without it.
        if (request.refusedStep) this.#rejectWaiting(error)
      }
    }
    this.#running = false
  }

  #run(request: SandboxRequest): Promise<Result> {
    if (request.isScript && request.text === 'commit') return this.#commit()
    if (request.isScript && request.text === 'rollback') {
      return this.#end((frame) => this.#outer.undo(frame)).then(() => emptyResult('ROLLBACK'))
    }
    const begins = isBegin(request.text) || request.steps.some(({ text }) => isBegin(text))
    if (this.#frame) return this.#inFrame(this.#frame, request, false)
    const frame = this.#outer.push(this)
    if (!begins) return this.#alone(frame, request)
    this.#frame = frame
    return this.#inFrame(frame, request, true)
  }

  /** The server answers the COMMIT of a failed transaction with ROLLBACK. */
  #commit(): Promise<Result> {
    return this.#end(async (frame) => {
      if (frame.failed) await this.#outer.undo(frame)
      else await this.#keep(frame)
      return emptyResult(frame.failed ? 'ROLLBACK' : 'COMMIT')
    })
  }

  async #end<T>(how: (frame: Frame) => Promise<T>): Promise<T> {
    const frame = this.#frame
    this.#frame = undefined
    if (!frame) throw new UsageError('there is no transaction to end')
    return how(frame)
  }

  /** A statement by itself is a transaction of its own. */
  async #alone(frame: Frame, request: SandboxRequest): Promise<Result> {
    let result: Result
    try {
      result = await this.#inFrame(frame, request, true)
    } catch (error) {
      await this.#outer.undo(frame)
      throw error
    }
    await this.#keep(frame)
    return result
  }

  async #keep(frame: Frame): Promise<void> {
    await this.#outer.keep(frame)
    this.settings.push(...frame.settings.lasting)
  }

  async #inFrame(frame: Frame, request: SandboxRequest, first: boolean): Promise<Result> {
    const { options, parameters, isScript } = request
    const own = [...request.steps, { text: request.text }].flatMap((step) => translated(step))
    const text = own.pop()?.text ?? nothing
    // A return brings back what was in force; with steps in front of it, its script would be no script.
    const returns = isScript && text.startsWith('rollback to ')
    const steps = returns ? own : [...this.#outer.preparation(frame, first), ...own]
    for (const step of own) frame.settings.add(step)
    const result = await this.#outer.stoppable(frame, () => {
      if (isScript && steps.length === 0) return this.#server.script(text)
      const sent = { ...options, prepare: false, steps: () => steps }
      return this.#server.query<Result>(text, parameters, sent, {
        answered: (result) => result,
        failed: (error, step) => {
          if (step && request.steps.includes(step)) request.refusedStep = step
          throw error
        },
      })
    })
    frame.settings.add({ text, parameters: parameters.map(String) })
    return result
  }

  #rejectWaiting(error: unknown): void {
    for (const request of this.#requests.splice(0)) request.reject(error)
  }

  #settled(): void {
    this.inFlight -= 1
    if (this.inFlight > 0) return
    for (const resolve of this.#quiet.splice(0)) resolve()
  }
}

const timeLimit = 'set local statement_timeout = '
const nothing = 'select 1'

function isBegin(text: string): boolean {
  return /^begin\b/.test(text)
}

/** What stands for a step: its savepoint is set already, a part of a transaction has no isolation level and no snapshot. */
function translated(step: Step): readonly Step[] {
  const { text } = step
  if (isBegin(text)) return text.includes('read only') ? [{ text: 'set transaction read only' }] : []
  if (text.startsWith('set transaction snapshot')) return []
  if (text === 'select pg_export_snapshot() as id') return [{ text: "select 'sandbox' as id" }]
  return [step]
}

function emptyResult(command: string): Result {
  return Object.assign([], { count: null, command, columns: [] })
}

const asItIs: Outcome<Result> = {
  answered: (result) => result,
  failed: (error) => {
    throw error
  },
}

async function refused<T>(error: unknown, outcome: Outcome<T> = asItIs as Outcome<T>): Promise<T> {
  return outcome.failed(error)
}
