/**
 * Reads the transaction status off the socket: when nothing is in flight, the last six bytes are, as a rule,
 * ReadyForQuery ('Z', length 5, status). postgres.js drops it, and it is the only certain sign of a transaction left open.
 */
import type { Socket } from 'node:net'

/** The transaction status in the server's last ReadyForQuery: idle, in a transaction, in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E'

export class StatusTail {
  /** Undefined when the last thing read was no ReadyForQuery. */
  status: TransactionStatus | undefined = 'I'
  /** The end of the last chunk, kept only while chunks are shorter than the message. */
  #fragment: Uint8Array | undefined

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
  }

  #read(chunk: Buffer): void {
    let end = chunk
    if (chunk.length < 6 && this.#fragment) end = Buffer.concat([this.#fragment, chunk])
    const start = end.length - 6
    if (end[start] === 0x5a && end[start + 4] === 5 && end[start + 3] === 0) {
      this.status = String.fromCharCode(end[start + 5] ?? 0) as TransactionStatus
      this.#fragment = undefined
    } else {
      this.status = undefined
      // Only the end of a split message is worth keeping; whole answers, the rule, leave nothing behind.
      this.#fragment = Uint8Array.from(end.subarray(-5))
    }
  }
}
