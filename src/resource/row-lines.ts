/**
 * New rows as lines of JSON, read while they arrive: chunks of rows that are checked, so that those before them may be
 * written meanwhile. A fault has the number of its line; the faults of one chunk are told together, up to the usual number.
 */
import { JsonFault, parseJson } from '../values/strict-json.ts'
import type { PlannedResource } from './resource.ts'
import { checkedRow, mostFaults, type RowFault, WrongRows } from './row-input.ts'

/** Rows that are written together, and bytes of their lines. */
const chunk = { rows: 1000, bytes: 1_048_576 }

const newline = 0x0a

/** The rows of a body, in chunks. @throws WrongRows for a line that is no row, or longer than `maxLineBytes` */
export async function* readLines(
  resource: PlannedResource,
  body: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<Record<string, unknown>[], void, undefined> {
  const lines = new LineReader(resource, maxLineBytes)
  for await (const bytes of body) {
    for (let start = 0; start < bytes.length;) {
      start = lines.read(bytes, start)
      if (lines.full) yield lines.take()
    }
    if (lines.faulty) throw lines.fault()
  }
  lines.end()
  if (lines.faulty) throw lines.fault()
  const rest = lines.take()
  if (rest.length > 0) yield rest
}

class LineReader {
  readonly #resource: PlannedResource
  readonly #maxBytes: number
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  readonly #faults: RowFault[] = []
  #rows: Record<string, unknown>[] = []
  #bytes = 0
  #number = 0
  /** The beginning of a line, in the pieces in which it came. */
  #parts: Uint8Array[] = []
  #partBytes = 0

  constructor(resource: PlannedResource, maxBytes: number) {
    this.#resource = resource
    this.#maxBytes = maxBytes
  }

  get full(): boolean {
    return !this.faulty && (this.#rows.length >= chunk.rows || this.#bytes >= chunk.bytes)
  }

  get faulty(): boolean {
    return this.#faults.length > 0
  }

  fault(): WrongRows {
    return new WrongRows(this.#faults)
  }

  take(): Record<string, unknown>[] {
    const rows = this.#rows
    this.#rows = []
    this.#bytes = 0
    return rows
  }

  /** Reads up to the end of a line, or of the bytes; returns where it stopped. */
  read(bytes: Uint8Array, start: number): number {
    const found = bytes.indexOf(newline, start)
    const end = found < 0 ? bytes.length : found
    this.#partBytes += end - start
    if (this.#partBytes > this.#maxBytes) {
      this.#number += 1
      this.#faults.push({ path: [], line: this.#number, detail: `is longer than ${this.#maxBytes} bytes` })
      throw this.fault()
    }
    if (found < 0) this.#parts.push(bytes.slice(start))
    else this.#line(bytes.subarray(start, end))
    return end + 1
  }

  /** The last line may lack its newline. */
  end(): void {
    if (this.#partBytes > 0) this.#line(new Uint8Array())
  }

  #line(last: Uint8Array): void {
    const bytes = this.#parts.length === 0 ? last : Buffer.concat([...this.#parts, last])
    this.#parts = []
    this.#bytes += this.#partBytes
    this.#partBytes = 0
    this.#number += 1
    if (this.#faults.length >= mostFaults) return
    const faults: RowFault[] = []
    const row = this.#row(bytes, faults)
    if (faults.length === 0) this.#rows.push(row)
    for (const fault of faults) this.#faults.push({ ...fault, line: this.#number })
  }

  #row(bytes: Uint8Array, faults: RowFault[]): Record<string, unknown> {
    try {
      return checkedRow(this.#resource, parseJson(this.#text(bytes)), 'insert', [], faults)
    } catch (error) {
      if (!(error instanceof JsonFault)) throw error
      faults.push({ path: error.path ?? [], detail: error.message })
      return {}
    }
  }

  #text(bytes: Uint8Array): string {
    try {
      return this.#decoder.decode(bytes)
    } catch {
      throw new JsonFault('is not valid UTF-8')
    }
  }
}
