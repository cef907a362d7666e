/**
 * The logger that writes to standard error: columns on a terminal, a line of JSON an entry elsewhere, where programs read
 * it. Whoever reads it may be slow or gone: what he cannot take is left out and counted, and nobody waits for him.
 */
import type { LogFields } from './log-entry.ts'
import type { Logger, LogLevel } from './log-setting.ts'
import { jsonLine, terminalLine } from './log-line.ts'

/** The value of an environment variable; undefined for an empty one. */
export type Variable = (name: string) => string | undefined

/** Bytes that may wait for a slow reader; what comes then is left out, until he has taken all of it. */
const mostWaiting = 1_048_576

/** What all logs of the process share, as they share the stream. */
const state = {
  /** Lines left out since the last one that was written. */
  leftOut: 0,
  /** The reader is gone (EPIPE). There is no other place to say so. */
  gone: false,
  watched: false,
}

/**
 * FORCE_COLOR is for a person, too, who reads through a pipe; it and NO_COLOR are read as Node does.
 * https://nodejs.org/api/cli.html#force_color1-2-3
 */
export function standardError(variable: Variable): Logger {
  const { stderr } = process
  watch(stderr)
  const forced = !['0', 'false'].includes(variable('FORCE_COLOR') ?? '0')
  const coloured = stderr.isTTY ? stderr.hasColors() : forced
  const line = stderr.isTTY || forced ? terminalLine : jsonLine
  const write = (level: LogLevel) => (fields: object, message: string) => {
    if (state.gone) return
    if (stderr.writableLength > mostWaiting || (state.leftOut > 0 && stderr.writableNeedDrain)) {
      state.leftOut += 1
      return
    }
    if (state.leftOut > 0) {
      const lines = state.leftOut
      state.leftOut = 0
      const entry = { level: 'warn', message: 'lines of the log were left out: they are read too slowly' } as const
      stderr.write(line({ ...entry, time: new Date(), fields: { lines } }, coloured))
    }
    stderr.write(line({ time: new Date(), level, message, fields: fields as LogFields }, coloured))
  }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** Without a listener an error of the stream would end the process. */
function watch(stderr: NodeJS.WriteStream): void {
  if (state.watched) return
  state.watched = true
  stderr.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') state.gone = true
  })
}
