/**
 * Statements that travel in front of another one, in its batch: Parse, Bind and Execute without a Sync. The only Sync is
 * that of the statement behind them, so when one of them is refused the server skips everything up to it: the statement
 * never runs without what was to guard it. pgjdbc opens its transactions in the same way.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */

/** One statement in front of another; its rows, if any, are dropped. */
export interface Step {
  readonly text: string
  /** Values for `$1`, `$2`, …, as text. */
  readonly parameters?: readonly string[]
  /** What its refusal is told as, where we can say more than the server. */
  readonly told?: (refusal: unknown) => unknown
}

const none: readonly string[] = []

/** The bytes of `steps`: for each, Parse and Bind of the unnamed statement, and Execute. */
export function encodeSteps(steps: readonly Step[]): Buffer {
  let size = 0
  for (const step of steps) size += sizeOf(step)
  const buffer = Buffer.allocUnsafe(size)
  let at = 0
  for (const step of steps) at = write(buffer, at, step)
  return buffer
}

/** Bytes besides the text and the parameters: 9 of Parse, 13 of Bind, 10 of Execute. */
const frameBytes = 32

function sizeOf({ text, parameters = none }: Step): number {
  let size = frameBytes + Buffer.byteLength(text)
  for (const parameter of parameters) size += 4 + Buffer.byteLength(parameter)
  return size
}

function write(buffer: Buffer, start: number, { text, parameters = none }: Step): number {
  // Parse: no name, the text, no parameter types.
  let at = start + 5
  buffer[at++] = 0
  at += buffer.write(text, at)
  buffer[at++] = 0
  at = buffer.writeInt16BE(0, at)
  frame(buffer, 'P', start, at)
  // Bind: no names, parameters and results as text.
  const bind = at
  at += 5
  buffer[at++] = 0
  buffer[at++] = 0
  at = buffer.writeInt16BE(0, at)
  at = buffer.writeInt16BE(parameters.length, at)
  for (const parameter of parameters) {
    const length = buffer.write(parameter, at + 4)
    buffer.writeInt32BE(length, at)
    at += 4 + length
  }
  at = buffer.writeInt16BE(0, at)
  frame(buffer, 'B', bind, at)
  // Execute: the unnamed portal, all rows.
  const execute = at
  at += 5
  buffer[at++] = 0
  at = buffer.writeInt32BE(0, at)
  frame(buffer, 'E', execute, at)
  return at
}

function frame(buffer: Buffer, type: string, start: number, end: number): void {
  buffer[start] = type.charCodeAt(0)
  buffer.writeInt32BE(end - start - 1, start + 1)
}
