/**
 * Ctrl-C and SIGTERM, for a process that ends by having nothing more to do. The first asks it to stop, the second to
 * stop at once; after that the signals have their usual effect again, so a third one kills.
 * A terminal that is closed asks too, but never hurries: SIGHUP comes from the shell and again from the system.
 * Nobody may be left to read what is printed then, nor when the other end of a pipe ended: that does no harm.
 * npm passes SIGTERM on to a shell, which dies of it and does not pass it on: when that shell is gone, we were meant. Where the
 * shell has made way for us, npm passes on to us the Ctrl-C that the terminal has sent us already: the two are one.
 */
import { environment } from '../config.ts'
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

/** Takes SIGINT, SIGTERM and SIGHUP over, and the errors of standard output and standard error. */
export function watchSignals(): Shutdown {
  const asked = new AbortController()
  const forced = new AbortController()
  let askedAt = 0
  const ask = () => {
    if (asked.signal.aborted) return
    askedAt = performance.now()
    asked.abort(new Cancelled('stopped by a signal'))
  }
  const onSignal = () => {
    if (!asked.signal.aborted) return ask()
    if (isUnderNpm() && performance.now() - askedAt < echoMs) return
    release()
    forced.abort()
  }
  const stopWatching = watchNpm(ask)
  const release = () => {
    for (const name of names) process.off(name, onSignal)
    process.off('SIGHUP', ask)
    stopWatching()
  }
  for (const name of names) process.on(name, onSignal)
  process.on('SIGHUP', ask)
  // EPIPE of a pipe, EIO of a terminal. For ever: what the last words meet is known after the process has gone on.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  return { asked: asked.signal, forced: forced.signal, release }
}

const names = ['SIGINT', 'SIGTERM'] as const

/** Milliseconds within which npm passes a signal on. */
const echoMs = 250

const isUnderNpm = () => environment('npm_lifecycle_event') !== undefined

/** Milliseconds between looks at whether the shell that npm started us from is still there. */
const lookMs = 250

function watchNpm(whenGone: () => void): () => void {
  if (!isUnderNpm()) return () => undefined
  const shell = process.ppid
  const timer = setInterval(() => {
    if (process.ppid !== shell) whenGone()
  }, lookMs)
  timer.unref()
  return () => clearInterval(timer)
}
