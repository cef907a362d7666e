/**
 * The one transaction of a sandbox, on the one connection that it has, and who may use it when.
 *
 * What a transaction would be elsewhere is a frame here: a savepoint, from its BEGIN to its end; so is a statement by
 * itself. Frames lie on each other, and only the owner of the topmost one may send statements; somebody else may lay a
 * frame on it if their session was opened in the course of the owner's, which waits meanwhile. Everybody else waits
 * until no frame is left. So a savepoint that is rolled back holds nothing of others but of those inside it.
 */
import { ConnectionLost, PoolTimeout, UsageError } from '../errors.ts'
import type { Step } from '../pool/batch.ts'
import type { Connection, Result } from '../pool/connection.ts'
import type { PoolLease } from '../pool/wait-queue.ts'
import { FrameSettings } from './frame-settings.ts'

/** Who has frames: a connection of the sandbox. */
export interface FrameOwner {
  /** The task that has the connection now. */
  readonly lease: PoolLease | undefined
  /** What it has set for its session. */
  readonly settings: readonly Step[]
}

/** A transaction, or a statement by itself, on its way. */
export interface Frame {
  readonly owner: FrameOwner
  readonly savepoint: string
  /** What it has set for itself. */
  readonly settings: FrameSettings
  /** A statement in it has failed, and nothing has been rolled back since. */
  failed: boolean
}

/** Connects to the server; gives up when the signal is aborted. */
export type OpenConnection = (signal: AbortSignal) => Promise<Connection>

interface Turn {
  readonly owner: FrameOwner
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout | undefined
}

/** Deferred constraints are checked as COMMIT would, and are deferred again for the next one. */
const checkDeferred = `set constraints all immediate; do $$ declare names text; begin
  select string_agg(distinct format('%I.%I', n.nspname, c.conname), ', ') into names
  from pg_catalog.pg_constraint c join pg_catalog.pg_namespace n on n.oid = c.connamespace where c.condeferred;
  if names is not null then execute 'set constraints ' || names || ' deferred'; end if; end $$`

function blamed(cause: unknown): UsageError {
  return new UsageError(
    'in a sandbox a session that is opened inside a transaction is a part of it, and this transaction violates a deferred ' +
      'constraint for now: open the session before, or once the constraint is satisfied',
    { cause },
  )
}

/** What others have set does not hold for the next one; `reset all` leaves these two alone. */
const asAtFirst: readonly Step[] = [
  { text: 'reset all' },
  { text: 'reset session authorization' },
  { text: 'reset role' },
]

/** Milliseconds after which a server that does not take requests to stop is given up. */
const stopTimeoutMs = 10_000

export class OuterTransaction {
  readonly #open: OpenConnection
  readonly #patienceMs: number
  #opening: Promise<Connection> | undefined
  #connection: Connection | undefined
  readonly #frames: Frame[] = []
  readonly #waiting: Turn[] = []
  /** Somebody sends a statement, or ends a frame. */
  #busy = false
  /** Whose settings are in force. */
  #inForce: Frame | undefined
  #savepoints = 0
  /** Whose statement runs, so that it can be stopped; nothing else is. */
  #stoppable: FrameOwner | undefined
  readonly #stopping = new Set<Promise<void>>()

  /** `patienceMs` is how long a statement waits for its turn. */
  constructor(open: OpenConnection, patienceMs: number) {
    this.#open = open
    this.#patienceMs = patienceMs
  }

  /** The connection to the server, once it is open. */
  get connection(): Connection {
    if (!this.#connection) throw new UsageError('the sandbox has not been opened')
    return this.#connection
  }

  /** Connects and begins the transaction, unless that is done. @throws as connecting does. */
  async begin(signal: AbortSignal): Promise<void> {
    this.#opening ??= this.#open(signal)
    try {
      const connection = await this.#opening
      if (this.#connection) return
      this.#connection = connection
      void connection.closed.then(() => this.#serve())
      await connection.script('begin')
    } catch (error) {
      this.#opening = undefined
      throw error
    }
  }

  /** Why nothing can be done any more; undefined while the transaction is there. */
  get lost(): ConnectionLost | undefined {
    const cause = this.#connection?.lost
    return cause && new ConnectionLost('the connection of the sandbox was lost, and its work with it', { cause })
  }

  /** Undoes all work, and begins anew, once what was given up has ended. @throws PoolTimeout when that takes too long. */
  async restart(): Promise<void> {
    await this.turn({ lease: undefined, settings: [] })
    try {
      this.#inForce = undefined
      await this.connection.script('rollback; begin')
    } finally {
      this.pass()
    }
  }

  /** Closes the connection, by which the server rolls back. */
  async close(): Promise<void> {
    await this.#connection?.close()
  }

  /** Resolves when it is the owner's turn, which ends with `pass`. @throws PoolTimeout when it takes too long. */
  turn(owner: FrameOwner, patient = false): Promise<void> {
    if (!this.#busy && this.#waiting.length === 0 && this.#mayGo(owner)) {
      this.#busy = true
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const timer = patient ? undefined : setTimeout(() => this.withdraw(owner, this.#timedOut()), this.#patienceMs)
      this.#waiting.push({ owner, resolve, reject, timer })
      this.#serve()
    })
  }

  /** Ends the turn. */
  pass(): void {
    this.#busy = false
    this.#serve()
  }

  /** Takes back what waits for its turn. */
  withdraw(owner: FrameOwner, error: unknown): void {
    const index = this.#waiting.findIndex((turn) => turn.owner === owner)
    const [turn] = index < 0 ? [] : this.#waiting.splice(index, 1)
    clearTimeout(turn?.timer)
    turn?.reject(error)
  }

  // ---- in one's turn

  /** Lays a frame on the others; its savepoint travels with its first statement. */
  push(owner: FrameOwner): Frame {
    const top = this.#frames.at(-1)
    if (top?.failed) {
      throw new UsageError(
        'in a sandbox a session that is opened inside a transaction is a part of it, and a statement in this one has ' +
          'failed: end the transaction first',
      )
    }
    this.#savepoints += 1
    const frame = {
      owner,
      savepoint: `rivulet_sandbox_${this.#savepoints}`,
      settings: new FrameSettings(),
      failed: false,
    }
    this.#frames.push(frame)
    return frame
  }

  /** What must be in force before the next statement of the frame; `first` where that begins it. */
  preparation(frame: Frame, first: boolean): readonly Step[] {
    const begin = first ? [{ text: `savepoint ${frame.savepoint}` }] : []
    if (this.#inForce === frame || frame.failed) return begin
    this.#inForce = frame
    return [...asAtFirst, ...begin, ...frame.owner.settings, ...frame.settings]
  }

  /** Runs a statement of the frame's that may be stopped. */
  async stoppable<T>(frame: Frame, statement: () => Promise<T>): Promise<T> {
    this.#stoppable = frame.owner
    try {
      return await statement()
    } finally {
      this.#stoppable = undefined
      // A request that is still under way would hit what comes next.
      while (this.#stopping.size > 0) await Promise.allSettled(this.#stopping)
      frame.failed = this.connection.transactionStatus === 'E'
    }
  }

  /**
   * Asks the server to stop the owner's statement, if that is what runs. Whoever asks may give up, the request goes on: it may
   * be on its way, and stop what comes next.
   */
  async stop(owner: FrameOwner): Promise<void> {
    if (this.#stoppable !== owner) return
    const late = AbortSignal.timeout(stopTimeoutMs)
    const request = this.connection.cancel(late).finally(() => this.#stopping.delete(request))
    this.#stopping.add(request)
    await request.catch((error: unknown) => {
      // It may have been sent: what becomes of it is not known.
      if (late.aborted) this.connection.destroy()
      throw error
    })
  }

  /**
   * Keeps the frame's work. @throws what a deferred constraint says, and undoes the work; UsageError where not this frame
   * has violated it, but the one below.
   */
  async keep(frame: Frame): Promise<Result> {
    try {
      const script = `${checkDeferred}; release savepoint ${frame.savepoint}`
      return await this.stoppable(frame, () => this.connection.script(script))
    } catch (error) {
      await this.undo(frame)
      throw (await this.#violatesDeferred()) ? blamed(error) : error
    } finally {
      this.#pop(frame)
    }
  }

  /** Whether the frames that are left would fail at COMMIT as they are. */
  async #violatesDeferred(): Promise<boolean> {
    if (this.#frames.length === 0 || this.lost) return false
    try {
      await this.connection.script('savepoint rivulet_sandbox_probe; set constraints all immediate')
      return false
    } catch {
      return true
    } finally {
      const undone = 'rollback to savepoint rivulet_sandbox_probe; release savepoint rivulet_sandbox_probe'
      await this.connection.script(undone).catch(() => undefined)
    }
  }

  /** Undoes the frame's work. */
  async undo(frame: Frame): Promise<void> {
    try {
      if (this.connection.lost) return
      const { savepoint } = frame
      await this.connection.script(`rollback to savepoint ${savepoint}; release savepoint ${savepoint}`)
    } finally {
      this.#pop(frame)
    }
  }

  #pop(frame: Frame): void {
    this.#inForce = undefined
    const index = this.#frames.indexOf(frame)
    if (index >= 0) this.#frames.splice(index)
  }

  #serve(): void {
    if (this.#busy) return
    const index = this.#waiting.findIndex(({ owner }) => this.#mayGo(owner))
    const [turn] = index < 0 ? [] : this.#waiting.splice(index, 1)
    if (!turn) return
    this.#busy = true
    clearTimeout(turn.timer)
    turn.resolve()
  }

  #mayGo(owner: FrameOwner): boolean {
    const top = this.#frames.at(-1)
    // There is nothing left to wait for: those that wait are told.
    if (!top || top.owner === owner || this.lost) return true
    if (this.#frames.some((frame) => frame.owner === owner)) return false
    for (let each = owner.lease?.parent; each; each = each.parent) if (each === top.owner.lease) return true
    return false
  }

  #timedOut(): PoolTimeout {
    const lease = this.#frames.at(-1)?.owner.lease
    const who = lease ? `${lease.label ?? 'an unlabelled task'} (${lease.acquiredAt})` : 'another session'
    return new PoolTimeout(
      `no turn on the one connection of the sandbox within ${this.#patienceMs} ms (pool.acquireTimeoutMs): ${who} is in a ` +
        'transaction, and this session was not opened in the course of it',
    )
  }
}
