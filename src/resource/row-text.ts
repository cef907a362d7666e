/**
 * Rows as text: lines of JSON (https://jsonlines.org) with the values of the JSON list, or CSV (RFC 4180). The first rows
 * are read like any others, and tell the types; those behind them go from the server's bytes into the text, without a
 * value between, wherever the server's text is that of the value already.
 *
 * CSV has a line of names, quotes where they are needed, and CRLF. NULL is nothing, an empty text is `""`, and what is no
 * text in JSON (an array, a document, true) is its JSON. Texts are not changed, whatever a spreadsheet might make of them.
 */
import { isJsonType } from '../drizzle/column-kind.ts'
import type { DirectReading } from '../drizzle/driver.ts'
import type { Result } from '../pool/connection.ts'
import { AnsweredText } from '../repository/columns/answered-text.ts'
import type { StreamReading } from '../repository/operations/stream.ts'
import type { Selection } from '../repository/query/selection.ts'
import type { PlannedColumn } from '../repository/query/table-plan.ts'
import { writeJson } from '../values/exact-json.ts'
import { connectionReaders } from '../values/server-type.ts'
import { type ColumnJson, columnJson } from './column-json.ts'

/** How rows are written. */
export interface RowFormat {
  /** What stands before the first row. */
  readonly head: (names: readonly string[]) => string
  /** What stands before a value. */
  readonly before: (name: string, index: number) => string
  readonly end: string
  readonly null: string
  /** A value; a `document` is JSON in the database as well. */
  readonly value: (value: unknown, document: boolean) => string
  /** What stands around a text that has nothing to be escaped. */
  readonly mark: string
  /** Writes a text of the server, where there is room for six bytes of each of it and two. */
  readonly quote: WriteBytes
  /** Writes a jsonb of the server, where there is room for as many bytes; undefined where it goes by its value. */
  readonly document?: WriteBytes
}

/** Writes what stands between two places of the text into `out`; returns where it ends there. */
type WriteBytes = (out: Buffer, at: number, text: Buffer, start: number, end: number) => number

const hexDigits = Buffer.from('0123456789abcdef')
/** The letters of `\b`, `\t`, `\n`, `\f` and `\r`. */
const shortEscapes: Readonly<Record<number, number>> = { 8: 0x62, 9: 0x74, 10: 0x6e, 12: 0x66, 13: 0x72 }
const [space, quote, backslash, comma] = [0x20, 0x22, 0x5c, 0x2c]

export const jsonLines: RowFormat = {
  head: () => '',
  before: (name, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`,
  end: '}\n',
  null: 'null',
  mark: '"',
  value: (value) => writeJson(value) ?? 'null',
  quote: (out, start, text, from, to) => {
    let at = start
    out[at++] = quote
    for (let index = from; index < to; index++) {
      const byte = text[index] as number
      if (byte >= 0x20 && byte !== quote && byte !== backslash) out[at++] = byte
      else {
        out[at++] = backslash
        const short = byte >= 0x20 ? byte : shortEscapes[byte]
        if (short !== undefined) out[at++] = short
        else {
          at += out.write('u00', at, 'latin1')
          out[at++] = hexDigits[byte >> 4] as number
          out[at++] = hexDigits[byte & 15] as number
        }
      }
    }
    out[at++] = quote
    return at
  },
  // The server puts one space behind each colon and comma, and escapes as `JSON.stringify` does: numbers keep their digits.
  document: (out, start, text, from, to) => {
    let at = start
    let quoted = false
    for (let index = from; index < to; index++) {
      const byte = text[index] as number
      if (byte === space && !quoted) continue
      out[at++] = byte
      if (byte === quote) quoted = !quoted
      else if (byte === backslash) out[at++] = text[++index] as number
    }
    return at
  },
}

export const csvLines: RowFormat = {
  head: (names) => `${names.map(csvText).join(',')}\r\n`,
  before: (_, index) => (index === 0 ? '' : ','),
  end: '\r\n',
  null: '',
  mark: '',
  value: (value, document) => {
    if (typeof value === 'string' && !document) return csvText(value)
    return value === null && !document ? '' : csvText(writeJson(value) ?? '')
  },
  quote: (out, start, text, from, to) => {
    let at = start
    let plain = to > from
    for (let index = from; index < to && plain; index++) {
      const byte = text[index] as number
      plain = byte !== quote && byte !== comma && byte !== 10 && byte !== 13
      out[at++] = byte
    }
    if (plain) return at
    at = start
    out[at++] = quote
    for (let index = from; index < to; index++) {
      const byte = text[index] as number
      if (byte === quote) out[at++] = quote
      out[at++] = byte
    }
    out[at++] = quote
    return at
  },
}

function csvText(text: string): string {
  return text !== '' && !/[",\r\n]/.test(text) ? text : `"${text.replaceAll('"', '""')}"`
}

/** Bytes of text that a batch should have, and how many rows the first and the largest batches have. */
const batchBytes = 262_144
const rows = { first: 2, most: 10_000 }

/** Longer values of the server are read and written like any others: most of the room for them would be for nothing. */
const longestDirect = 4096

/** Writes the rows of one stream, a batch at a time. */
export class RowText implements StreamReading<Buffer> {
  readonly #format: RowFormat
  readonly #selection: Selection
  /** Known when the first rows have told the types. */
  #fields: readonly TextField[] | undefined
  #rows = rows.first

  constructor(format: RowFormat, selection: Selection) {
    this.#format = format
    this.#selection = selection
  }

  /** How many rows the next batch should have. */
  get size(): number {
    return this.#rows
  }

  /** What stands before the first row. */
  get head(): string {
    return this.#format.head(this.#selection.columns.map(({ property }) => property))
  }

  read(answered: Result<unknown[]>): readonly Buffer[] {
    const { columns } = this.#selection
    const fields = columns.map((column, index) => {
      return new TextField(this.#format, column, index, answered.columns[index]?.type ?? 0)
    })
    this.#fields = fields
    const lines = this.#selection.marked(answered).map((values) => {
      const members = values.map((value, index) => (fields[index] as TextField).textOf(value))
      return `${members.join('')}${this.#format.end}`
    })
    return this.#batch(Buffer.from(lines.join('')), lines.length)
  }

  readonly direct = (): DirectReading<Buffer> | undefined => {
    const fields = this.#fields
    if (!fields) return undefined
    const text = new BatchText(this.#format, fields)
    return { row: text.row, end: () => this.#batch(text.end(), text.rows) }
  }

  #batch(text: Buffer, count: number): readonly Buffer[] {
    if (count === 0) return []
    const fitting = Math.floor(batchBytes / (text.length / count))
    this.#rows = Math.max(1, Math.min(fitting, this.#rows * 8, rows.most))
    return [text]
  }
}

/** One column of the text. */
class TextField {
  readonly before: Buffer
  readonly verbatim: ColumnJson['verbatim']
  readonly #format: RowFormat
  readonly #document: boolean
  readonly #beforeText: string
  readonly #decode: (value: unknown) => unknown
  readonly #fromText: (text: string) => unknown

  constructor(format: RowFormat, planned: PlannedColumn, index: number, type: number) {
    const { property, column, decode, untyped } = planned
    this.#format = format
    this.#document = column !== undefined && isJsonType(column)
    this.#beforeText = format.before(property, index)
    this.before = Buffer.from(this.#beforeText)
    this.#decode = decode ?? ((value) => value)
    const read = connectionReaders[type]
    const answered = untyped?.(type)
    this.#fromText = (text) => {
      const value = read ? read(text) : text
      return answered ? new AnsweredText(value as string, answered) : value
    }
    const { verbatim } = columnJson(planned)
    const types = verbatim && typesOf[verbatim]
    this.verbatim = (types ? types.includes(type) : !read && !answered) ? verbatim : undefined
  }

  /** A value as the connection answers it, with what stands before it. */
  textOf(value: unknown): string {
    if (value === null) return this.#beforeText + this.#format.null
    return this.#beforeText + this.#format.value(this.#decode(value), this.#document)
  }

  /** A value as the server writes it. */
  textFrom(text: string): string {
    return this.#format.value(this.#decode(this.#fromText(text)), this.#document)
  }
}

/** The types of the server that are what the schema says; any text may be quoted. */
const typesOf: Partial<Record<NonNullable<ColumnJson['verbatim']>, readonly number[]>> = {
  bare: [21, 23],
  boolean: [16],
  document: [3802],
  floating: [700, 701],
  timestamp: [1114, 1184],
}

const yes = Buffer.from('true')
const no = Buffer.from('false')

const [plus, minus] = [0x2b, 0x2d]
const letterT = Buffer.from('T')
const letterZ = Buffer.from('Z')
const wholeHours = Buffer.from(':00')
/** What a fraction lacks: by one more than the digits it has. */
const zeros = Buffer.from('.000')

/** False for years of more digits, BC and infinity. */
function isPlainTimestamp(data: Buffer, start: number, end: number): boolean {
  return end - start >= 19 && data[start + 4] === minus && data[start + 10] === 0x20 && data[end - 1] !== 0x43
}

/** True for digits that JavaScript writes as well: false with an exponent, for a negative zero, NaN and infinity. */
function isPlainNumber(data: Buffer, start: number, end: number): boolean {
  for (let index = start; index < end; index++) if ((data[index] as number) > 0x39) return false
  return end - start !== 2 || data[start] !== minus || data[start + 1] !== 0x30
}

/** The text of one batch. */
class BatchText {
  rows = 0
  readonly #format: RowFormat
  readonly #fields: readonly TextField[]
  readonly #null: Buffer
  readonly #mark: Buffer
  readonly #end: Buffer
  #out = Buffer.allocUnsafe(batchBytes + batchBytes / 4)
  #at = 0
  #failure: { readonly error: unknown } | undefined

  constructor(format: RowFormat, fields: readonly TextField[]) {
    this.#format = format
    this.#fields = fields
    this.#null = Buffer.from(format.null)
    this.#mark = Buffer.from(format.mark)
    this.#end = Buffer.from(format.end)
  }

  /** Never throws: it is called while the connection reads. */
  readonly row = (data: Buffer, start: number): void => {
    if (this.#failure) return
    try {
      this.#write(data, start + 2)
      this.rows += 1
    } catch (error) {
      this.#failure = { error }
    }
  }

  end(): Buffer {
    if (this.#failure) throw this.#failure.error
    return this.#out.subarray(0, this.#at)
  }

  #write(data: Buffer, start: number): void {
    const fields = this.#fields
    let place = start
    for (let index = 0; index < fields.length; index++) {
      const field = fields[index] as TextField
      const length = data.readInt32BE(place)
      place += 4
      this.#word(field.before)
      if (length < 0) {
        this.#word(this.#null)
        continue
      }
      const end = place + length
      const { verbatim } = field
      if (verbatim === 'bare' || (verbatim === 'floating' && isPlainNumber(data, place, end))) {
        this.#copy(data, place, end)
      } else if (verbatim === 'boolean') this.#word(data[place] === 0x74 ? yes : no)
      else if (verbatim === 'quoted' && length <= longestDirect) {
        this.#reserve(length * 6 + 2)
        this.#at = this.#format.quote(this.#out, this.#at, data, place, end)
      } else if (verbatim === 'document' && this.#format.document) {
        this.#reserve(length)
        this.#at = this.#format.document(this.#out, this.#at, data, place, end)
      } else if (verbatim === 'timestamp' && isPlainTimestamp(data, place, end)) this.#timestamp(data, place, end)
      else this.#text(field.textFrom(data.toString('utf8', place, end)))
      place = end
    }
    this.#word(this.#end)
  }

  #word(word: Buffer): void {
    this.#copy(word, 0, word.length)
  }

  /** `2026-01-05 09:00:00.25+00` as `2026-01-05T09:00:00.250Z`, as JSON has it. */
  #timestamp(data: Buffer, start: number, end: number): void {
    let zone = start + 19
    while (zone < end && data[zone] !== plus && data[zone] !== minus) zone++
    this.#word(this.#mark)
    this.#copy(data, start, start + 10)
    this.#word(letterT)
    this.#copy(data, start + 11, zone)
    const digits = zone - start - 20
    if (digits < 3) this.#copy(zeros, Math.max(digits, -1) + 1, 4)
    if (zone < end) {
      const short = end - zone === 3
      if (short && data[zone] === plus && data[zone + 1] === 0x30 && data[zone + 2] === 0x30) this.#word(letterZ)
      else {
        this.#copy(data, zone, end)
        if (short) this.#word(wholeHours)
      }
    }
    this.#word(this.#mark)
  }

  #copy(data: Buffer, start: number, end: number): void {
    this.#reserve(end - start)
    const out = this.#out
    let at = this.#at
    // Faster than a call of `copy` for what is short.
    for (let index = start; index < end; index++) out[at++] = data[index] as number
    this.#at = at
  }

  #text(text: string): void {
    this.#reserve(text.length * 3)
    this.#at += this.#out.write(text, this.#at)
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#out.length) return
    const larger = Buffer.allocUnsafe((this.#at + bytes) * 2)
    this.#out.copy(larger, 0, 0, this.#at)
    this.#out = larger
  }
}
