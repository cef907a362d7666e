/**
 * Ctrl-C and SIGTERM, for a process that ends by having nothing more to do. The first asks it to stop, the second to
 * stop at once; after that the signals have their usual effect again, so a third one kills.
 */
import { Cancelled } from '../errors.ts'

/** What signals ask for. */
export interface Shutdown {
  /** Aborted by the first signal. */
  readonly asked: AbortSignal
  /** Aborted by the second one. */
  readonly forced: AbortSignal
  /** Gives the signals their usual effect back. */
  release(): void
}

/** Takes SIGINT and SIGTERM over. */
export function watchSignals(): Shutdown {
  const asked = new AbortController()
  const forced = new AbortController()
  const onSignal = () => {
    if (!asked.signal.aborted) return asked.abort(new Cancelled('stopped by a signal'))
    release()
    forced.abort()
  }
  const release = () => {
    for (const name of names) process.off(name, onSignal)
  }
  for (const name of names) process.on(name, onSignal)
  return { asked: asked.signal, forced: forced.signal, release }
}

const names = ['SIGINT', 'SIGTERM'] as const
