/**
 * Walks the messages of the server before the driver reads them, and knows from them what the driver does not tell: the
 * transaction status, whether a statement that failed had been bound, which settings the server reports, and the
 * answers to the steps in front of a statement (`batch.ts`), which are taken out of the stream. So are the rows of a
 * statement that reads them itself: to a driver that makes values of them they cost ten times as much.
 *
 * It reads the header of every message, and the body of few; a body that is of no interest is skipped unseen.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

/** The transaction status in the server's last ReadyForQuery: idle, in a transaction, in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E'

/** Learns what the messages say, as they are read. */
export interface MessageListener {
  /** A statement has been answered; `neverRan` says that it failed before it was bound. */
  ready(neverRan: boolean): void
  /** The server reports the value of a setting. */
  setting(name: string, value: string): void
}

/**
 * Takes one row as it stands in `data` from `start` on: the number of its values (Int16), then for each its length (Int32,
 * -1 is NULL) and its bytes, which are not to be kept.
 */
export type RowSink = (data: Buffer, start: number) => void

const type = {
  bindComplete: 0x32,
  commandComplete: 0x43,
  dataRow: 0x44,
  error: 0x45,
  noticeResponse: 0x4e,
  notification: 0x41,
  parameterStatus: 0x53,
  ready: 0x5a,
}

const headerBytes = 5
const nothing: Buffer = Buffer.alloc(0)

export class ServerMessages {
  /** What the server last said; undefined when it has said something else since, such as that it is being shut down. */
  status: TransactionStatus | undefined
  /** The step that the server refused, counted from 0, until the next batch. */
  refusedStep: number | undefined
  /** Told from the end of the handshake on. */
  listener: MessageListener | undefined
  /** Takes the rows of the statement that is answered next; undefined where they are for the driver. */
  rows: RowSink | undefined
  /** Steps of the batch under way, and those whose answer is not complete. */
  #steps = 0
  #left = 0
  #bound = false
  #failed = false
  /** Bytes of a message's body still to come. */
  #skip = 0
  /** The beginning of a message that has not come whole and is to be read. */
  #part: Buffer = nothing
  /** True when the driver has not seen that beginning. */
  #withheld = false
  /** What has come of a row since, and how many bytes of it are to come. */
  #chunks: Buffer[] = []
  #missing = 0

  /** The next messages answer this many steps. Only while nothing else is to be answered. */
  expectSteps(count: number): void {
    this.#steps = this.#left = count
    this.refusedStep = undefined
  }

  /** Reads a chunk and returns what of it is for the driver. */
  read(chunk: Buffer): Buffer {
    if (this.#left > 0) return this.#readSteps(chunk)
    return this.#walk(chunk)
  }

  /** Takes the answers to the steps out; notices, notifications and settings among them are passed on. */
  #readSteps(chunk: Buffer): Buffer {
    let data = this.#joined(chunk)
    const kept: Buffer[] = []
    while (this.#left > 0) {
      const size = data.length < headerBytes ? Infinity : 1 + data.readInt32BE(1)
      if (data.length < size) {
        this.#part = Buffer.from(data)
        break
      }
      const message = data.subarray(0, size)
      data = data.subarray(size)
      switch (message[0]) {
        case type.commandComplete:
          this.#left -= 1
          break
        case type.error:
          this.refusedStep = this.#steps - this.#left
          this.#left = 0
          this.#walk(message)
          kept.push(message)
          break
        case type.noticeResponse:
        case type.notification:
        case type.parameterStatus:
          this.#walk(message)
          kept.push(message)
          break
        default:
        // What remains is said of steps only: parsed, bound, a row, an empty statement.
      }
    }
    if (this.#left === 0) kept.push(this.#walk(data))
    return kept.length === 1 ? (kept[0] ?? nothing) : Buffer.concat(kept)
  }

  /** Reads what is no answer to a step, and returns what of it is for the driver. */
  #walk(chunk: Buffer): Buffer {
    if (this.#missing > chunk.length) {
      this.#missing -= chunk.length
      this.#chunks.push(chunk)
      return nothing
    }
    let data = chunk
    let at = 0
    /** Where what is for the driver goes on. */
    let from = 0
    const kept: Buffer[] = []
    if (this.#missing > 0) {
      // Of a long chunk only the rest of the row is copied.
      at = from = this.#missing
      this.rows?.(this.#joined(chunk.subarray(0, at)), headerBytes)
    } else if (this.#part.length > 0) {
      from = this.#withheld ? 0 : this.#part.length
      data = this.#joined(chunk)
    } else if (this.#skip > 0) {
      at = Math.min(this.#skip, data.length)
      this.#skip -= at
    }
    const { length } = data
    while (at + headerBytes <= length) {
      const kind = data[at]
      const end = at + 1 + data.readInt32BE(at + 1)
      if (kind === type.dataRow && this.rows) {
        if (end > length) {
          this.#missing = end - length
          break
        }
        if (at > from) kept.push(data.subarray(from, at))
        this.rows(data, at + headerBytes)
        from = at = end
        continue
      }
      if (end > length && (kind === type.ready || kind === type.parameterStatus)) break
      this.#message(kind, data, at + headerBytes, end)
      at = end
    }
    let to = length
    if (at > length) this.#skip = at - length
    else if (at < length) {
      this.#part = Buffer.from(data.subarray(at))
      // What may be the beginning of a row is not for the driver.
      this.#withheld = this.rows !== undefined
      if (this.#withheld) to = at
    }
    if (kept.length === 0) return from === 0 && to === length ? data : data.subarray(from, to)
    if (to > from) kept.push(data.subarray(from, to))
    return Buffer.concat(kept)
  }

  /** One message; of those that are read the body is there. */
  #message(kind: number | undefined, data: Buffer, start: number, end: number): void {
    switch (kind) {
      case type.ready:
        this.status = String.fromCharCode(data[start] ?? 0) as TransactionStatus
        this.listener?.ready(this.#failed && !this.#bound)
        this.#bound = this.#failed = false
        return
      case type.bindComplete:
        this.#bound = true
        return
      case type.error:
        this.#failed = true
        // Said without ReadyForQuery behind it, it is the server's last word.
        this.status = undefined
        return
      case type.parameterStatus: {
        const [name = '', value = ''] = data.toString('utf8', start, end - 1).split('\0')
        this.listener?.setting(name, value)
        return
      }
      default:
    }
  }

  #joined(chunk: Buffer): Buffer {
    if (this.#part.length === 0) return chunk
    const joined = Buffer.concat([this.#part, ...this.#chunks, chunk])
    this.#part = nothing
    this.#chunks = []
    this.#missing = 0
    return joined
  }
}
