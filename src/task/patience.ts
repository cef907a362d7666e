/**
 * How long work of many steps waits for each: it may take any time as long as it makes progress, which no deadline says.
 * Its signal ends with the caller's, with a wait that was too long, or when it is told to.
 */
import { Cancelled } from '../errors.ts'
import { Deadline } from './deadline.ts'

/** Begins to wait at the first `wait`; `stop` it when the work is over. */
export class Patience {
  readonly #controller = new AbortController()
  readonly #unlisten: () => void
  #disarm: (() => void) | undefined

  constructor(signal: AbortSignal) {
    const onAbort = () =>
      this.end(new Cancelled('cancelled by the caller: the signal was aborted', { cause: signal.reason }))
    this.#unlisten = () => signal.removeEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Why it ended; undefined while it has not. */
  get reason(): unknown {
    return this.signal.reason
  }

  /** From now on the next thing has to happen within this time. */
  wait(timeoutMs: number, late: () => Error): void {
    this.#disarm?.()
    this.#disarm = Deadline.after(timeoutMs).arm(() => this.end(late()))
  }

  end(reason: Error): void {
    this.stop()
    this.#controller.abort(reason)
  }

  stop(): void {
    this.#disarm?.()
    this.#unlisten()
  }
}
