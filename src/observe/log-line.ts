/**
 * An entry of the log as a line: of JSON for programs; for a person on a terminal the columns time, backend, milliseconds,
 * rows and label, and then the SQL, or the message with its other fields.
 */
import { styleText } from 'node:util'
import { type LogFields, withoutMiddle } from './log-entry.ts'
import type { LogLevel } from './log-setting.ts'

/** What a line is made of. */
export interface LineParts {
  readonly time: Date
  readonly level: LogLevel
  readonly message: string
  readonly fields: LogFields
}

/** On a terminal SQL is to be recognised: beyond this many characters its middle is left out. */
const longestSql = 400

/** The fields that have columns or places of their own, or are in the message. */
const placed: ReadonlySet<string> = new Set(['type', 'label', 'backendPid', 'ms', 'rows', 'sql', 'error', 'outcome'])

export function jsonLine({ time, level, message, fields }: LineParts): string {
  return `${JSON.stringify({ time, level, message, ...fields })}\n`
}

export function terminalLine({ time, level, message, fields }: LineParts, coloured: boolean): string {
  const style = (name: Parameters<typeof styleText>[0], text: string) =>
    coloured && text.trim() !== '' ? styleText(name, text, { validateStream: false }) : text
  const { backendPid = '', ms, rows, label, sql, error } = fields
  const colour = level === 'warn' ? 'yellow' : level === 'error' || error !== undefined ? 'red' : undefined
  const said = onOneLine([message, ...others(fields)].join(' '))
  // Of a statement that is only to be seen, its SQL says enough.
  const head = typeof sql === 'string' && level === 'debug' ? [] : [colour ? style(colour, said) : said]
  const columns = [
    style('dim', clock(time)),
    style('dim', String(backendPid).padStart(7)),
    style(colour ?? 'green', (typeof ms === 'number' ? `${ms.toFixed(2)} ms` : '').padStart(11)),
    (typeof rows === 'number' ? `${rows} ${rows === 1 ? 'row ' : 'rows'}` : '').padStart(10),
    ...(typeof label === 'string' ? [style('cyan', onOneLine(label))] : []),
    ...head,
    ...(typeof sql === 'string' ? [withoutMiddle(onOneLine(sql), longestSql)] : []),
    ...(error === undefined ? [] : [style('red', described(error as LogFields))]),
  ]
  return `${columns.join('  ')}\n`
}

/** The time of day, here. */
function clock(time: Date): string {
  return `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, '0')}`
}

function described({ code, sqlState, message }: LogFields): string {
  return onOneLine([code, sqlState].filter(Boolean).join(' ') + `: ${String(message)}`)
}

/** The fields without a place of their own, as name=value. */
function others(fields: LogFields): string[] {
  return Object.entries(fields).flatMap(([name, value]) => {
    if (placed.has(name)) return []
    return [`${name}=${Array.isArray(value) ? value.map(item).join(', ') : String(value)}`]
  })
}

/** One of several: a text, or a task of a gather. */
function item(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  const { key, outcome, runMs, code } = value as LogFields
  return [key, outcome, `${String(runMs)} ms`, code].filter((part) => part !== undefined).join(' ')
}

/** Nor does it hold control characters, or those that turn text around: it may be a stranger's, and a terminal would obey. */
function onOneLine(text: string): string {
  return text.replaceAll(/[\s\p{Cc}\p{Bidi_Control}]+/gu, ' ').trim()
}
