/**
 * What postgres.js takes for its socket: the bytes of ours, both ways, with three things done on the way. What the server
 * says is read first (`server-messages.ts`), the steps in front of a statement travel in its packet (`batch.ts`), and the
 * driver's own start-up message is kept back: the server has greeted us before (`handshake.ts`), and is heard again.
 * The driver takes its listeners off when the socket closes; ours stay on the socket itself.
 */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { encodeSteps, type Step } from './batch.ts'
import type { ServerMessages } from './server-messages.ts'

export class DriverSocket extends EventEmitter {
  readonly #socket: Socket
  readonly #messages: ServerMessages
  /** The bytes that go in front of the driver's next ones. */
  #before: Buffer | undefined
  /** What the server has said so far, until the driver has asked for it with its first bytes. */
  #greeting: Buffer | undefined

  /** The socket is paused, and goes on once the driver has heard `greeting`. */
  constructor(socket: Socket, messages: ServerMessages, greeting: Buffer) {
    super()
    this.#socket = socket
    this.#messages = messages
    this.#greeting = greeting
    socket.on('data', (chunk: Buffer) => this.#hear(chunk))
    socket.on('error', (error: Error) => void (this.listenerCount('error') > 0 && this.emit('error', error)))
    socket.on('close', (hadError: boolean) => this.emit('close', hadError))
    socket.on('drain', () => this.emit('drain'))
  }

  /** Puts `steps` in front of the driver's next bytes. Only while nothing is to be answered. */
  precede(steps: readonly Step[]): void {
    this.#messages.expectSteps(steps.length)
    this.#before = encodeSteps(steps)
  }

  get readyState(): string {
    return this.#socket.readyState
  }

  write(chunk: Uint8Array, written?: (error?: Error | null) => void): boolean {
    const greeting = this.#greeting
    if (greeting) {
      this.#greeting = undefined
      // Not before the driver has done with writing.
      setImmediate(() => {
        this.#hear(greeting)
        this.#socket.resume()
      })
      return true
    }
    const before = this.#before
    if (before === undefined) return this.#socket.write(chunk, written)
    this.#before = undefined
    return this.#socket.write(Buffer.concat([before, chunk]), written)
  }

  end(chunk: Uint8Array): this {
    this.#socket.end(chunk)
    return this
  }

  destroy(): this {
    this.#socket.destroy()
    return this
  }

  pause(): this {
    this.#socket.pause()
    return this
  }

  resume(): this {
    this.#socket.resume()
    return this
  }

  #hear(chunk: Buffer): void {
    const rest = this.#messages.read(chunk)
    if (rest.length > 0) this.emit('data', rest)
  }
}
