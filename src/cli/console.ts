/**
 * What commands tell people: messages and progress on standard error, questions on the terminal. Colours only for a
 * person who sees them and has not declined (https://no-color.org).
 */
import { createInterface } from 'node:readline/promises'
import { styleText } from 'node:util'
import { environment } from '../config.ts'
import { Cancelled, UsageError } from '../errors.ts'

type Style = Parameters<typeof styleText>[0]

export class Console {
  /** True when there is a terminal to ask questions on. */
  readonly interactive = process.stdin.isTTY && process.stderr.isTTY

  /** One line, or several, on standard error. */
  note(text: string): void {
    process.stderr.write(`${text}\n`)
  }

  /** Colours text for standard error. */
  style(style: Style, text: string): string {
    return styled(process.stderr, style, text)
  }

  /** Colours text for standard output. */
  styleResult(style: Style, text: string): string {
    return styled(process.stdout, style, text)
  }

  /**
   * Returns when a person types yes. @throws UsageError, which names the flag to use, without a terminal; Cancelled for
   * any other answer.
   */
  async confirm(question: string, flag: string, signal: AbortSignal): Promise<void> {
    if (!this.interactive) throw new UsageError(`${question}\nThere is no terminal to ask on: confirm with ${flag}`)
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    try {
      // Ctrl-C at the question counts as another answer.
      const answer = await terminal.question(`${question}\nType yes to continue: `, { signal }).catch(() => '')
      if (answer.trim().toLowerCase() !== 'yes') throw new Cancelled('not confirmed: nothing was changed')
    } finally {
      terminal.close()
    }
  }
}

function styled(stream: NodeJS.WriteStream, style: Style, text: string): string {
  return stream.isTTY && environment('NO_COLOR') === undefined
    ? styleText(style, text, { validateStream: false })
    : text
}

/** Lines with their columns aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A duration for people. */
export function duration(ms: number | undefined): string {
  if (ms === undefined) return ''
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}
