/**
 * A scope is what can end a piece of work early: its deadline, its caller's AbortSignal, its parent scope, or `cancel`.
 * It is open, then cancelled once (with the first reason) or closed; closing frees its timer and its listeners.
 * Nested work opens a child, so it inherits the tighter deadline and every cancellation from above.
 * The idea: structured concurrency, https://vorpus.org/blog/timeouts-and-cancellation-for-humans/
 */
import { setMaxListeners } from 'node:events'
import { Cancelled, type RivuletError } from '../errors.ts'
import { trustedOptions } from '../option-names.ts'
import { Deadline, tighter } from './deadline.ts'

/** Options every call takes. */
export interface TaskOptions {
  /** Cancels the call when aborted. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds the whole call may take, its wait for a connection included. Default: no limit. */
  readonly timeoutMs?: number | undefined
  /** Names the call in errors and observations. */
  readonly label?: string | undefined
}

/**
 * The options of calls that belong to longer work, such as a request: they end with its deadline, and with `scope`, which is
 * cancelled when nobody wants the work any more. Whoever reads `signal`, or spreads the options, gets what any other
 * options have; a call that is given the object itself needs no AbortSignal, which costs Node as much as a short task.
 */
export class ScopedOptions implements TaskOptions {
  readonly label: string | undefined
  declare readonly signal: AbortSignal
  declare readonly timeoutMs: number
  readonly #work: BoundedWork

  static readonly #accessors = {
    signal: {
      enumerable: true,
      get(this: ScopedOptions) {
        return this.#work.signal()
      },
    },
    timeoutMs: {
      enumerable: true,
      get(this: ScopedOptions) {
        return this.#work.deadline.remainingMs
      },
    },
  }

  /** `more` are other options of a call. */
  constructor(work: BoundedWork, label?: string, more: object = {}) {
    this.#work = work
    this.label = label
    Object.assign(this, more)
    // Properties of its own, so that spreading it copies them.
    Object.defineProperty(this, 'signal', ScopedOptions.#accessors.signal)
    Object.defineProperty(this, 'timeoutMs', ScopedOptions.#accessors.timeoutMs)
  }

  /** What bounds the work, for the scope of a call. */
  get bounds(): Pick<BoundedWork, 'scope' | 'deadline'> {
    return this.#work
  }

  get [trustedOptions](): ReadonlySet<string> {
    return lazy
  }

  labelled(label: string, more?: object): ScopedOptions {
    return new ScopedOptions(this.#work, label, more)
  }
}

/** What the options of a call say of the work that it belongs to. */
export interface BoundedWork {
  readonly scope: Scope
  readonly deadline: Deadline
  /** Makes the signal of whoever wants the work. */
  readonly signal: () => AbortSignal
}

const lazy: ReadonlySet<string> = new Set(['signal', 'timeoutMs'])

/** The same bounds, for a call by another name, and with other options. */
export function labelled(options: TaskOptions, label: string, more: object = {}): TaskOptions {
  return options instanceof ScopedOptions ? options.labelled(label, more) : { ...options, label, ...more }
}

/** Whether anything bounds a call. */
export function isBounded(options: Pick<TaskOptions, 'signal' | 'timeoutMs'>): boolean {
  return options instanceof ScopedOptions || options.signal !== undefined || options.timeoutMs !== undefined
}

/** Why a scope was cancelled: its time ran out, or it was told to. */
export type CancelReason =
  | { readonly kind: 'deadline'; readonly deadline: Deadline }
  | { readonly kind: 'cancelled'; readonly error: RivuletError }

type Listener = (reason: CancelReason) => void

export class Scope {
  readonly deadline: Deadline | undefined
  reason: CancelReason | undefined
  readonly #parent: Scope | undefined
  readonly #listeners = new Set<Listener>()
  readonly #undo: (() => void)[] = []
  #controller: AbortController | undefined
  #closed = false

  constructor(options: Pick<TaskOptions, 'signal' | 'timeoutMs'> = {}, parent?: Scope) {
    this.#parent = parent
    const work = options instanceof ScopedOptions ? options.bounds : undefined
    const { signal, timeoutMs }: typeof options = work ? {} : options
    const own = work?.deadline ?? (timeoutMs === undefined ? undefined : Deadline.after(timeoutMs))
    this.deadline = tighter(parent?.deadline, own)
    // Listeners above: the parent's scope already watches the parent's deadline, so only a tighter one needs a timer.
    if (parent) this.#follow(parent)
    if (work) this.#follow(work.scope)
    if (signal?.aborted) this.cancel(abortError(signal))
    else if (signal) {
      const onAbort = () => this.cancel(abortError(signal))
      // One signal may bound any number of calls; Node would take the eleventh for a leak.
      setMaxListeners(0, signal)
      signal.addEventListener('abort', onAbort, { once: true })
      this.#undo.push(() => signal.removeEventListener('abort', onAbort))
    }
    const deadline = this.deadline
    if (!this.reason && deadline !== undefined && deadline === own) {
      if (deadline.expired) this.#cancel({ kind: 'deadline', deadline })
      else this.#undo.push(deadline.arm(() => this.#cancel({ kind: 'deadline', deadline })))
    }
  }

  /** An AbortSignal that follows this scope, for code that knows nothing of scopes. Made when first asked for. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.reason) this.#controller.abort(signalReason(this.reason))
    }
    return this.#controller.signal
  }

  /** True for this scope itself and for what was opened in it, at any depth. */
  isWithin(outer: Scope): boolean {
    return this === outer || (this.#parent?.isWithin(outer) ?? false)
  }

  /** Calls `listener` once when the scope is cancelled, at once if it is already; returns what takes it back. */
  onCancel(listener: Listener): () => void {
    if (this.reason) {
      listener(this.reason)
      return () => undefined
    }
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Cancels the scope with `error` as the reason; later calls change nothing. */
  cancel(error: RivuletError): void {
    this.#cancel({ kind: 'cancelled', error })
  }

  /** Its deadline has passed, as somebody knows before the timer does: the server, say. */
  expire(): void {
    if (this.deadline?.expired) this.#cancel({ kind: 'deadline', deadline: this.deadline })
  }

  /** Frees timer and listeners; the scope can no longer be cancelled. */
  close(): void {
    this.#closed = true
    for (const undo of this.#undo.splice(0)) undo()
    this.#listeners.clear()
  }

  #follow(above: Scope): void {
    if (above.reason) this.#cancel(above.reason)
    else this.#undo.push(above.onCancel((reason) => this.#cancel(reason)))
  }

  #cancel(reason: CancelReason): void {
    if (this.reason || this.#closed) return
    this.reason = reason
    for (const undo of this.#undo.splice(0)) undo()
    const listeners = [...this.#listeners]
    this.#listeners.clear()
    for (const listener of listeners) listener(reason)
    this.#controller?.abort(signalReason(reason))
  }
}

function signalReason(reason: CancelReason): Error {
  if (reason.kind === 'cancelled') return reason.error
  return new DOMException(`the deadline of ${reason.deadline.timeoutMs} ms passed`, 'TimeoutError')
}

function abortError(signal: AbortSignal): Cancelled {
  if (signal.reason instanceof Cancelled) return signal.reason
  return new Cancelled('cancelled by the caller: the signal was aborted', { cause: signal.reason })
}
