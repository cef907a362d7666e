/**
 * A value of an expression. Drizzle does not know its type; the server's answer tells it. The text is read by that
 * type, and goes back as a parameter exactly as it came.
 */
import type { Read } from '../../values/server-type.ts'

export class AnsweredText {
  readonly #text: string
  readonly #read: Read

  constructor(text: string, read: Read) {
    this.#text = text
    this.#read = read
  }

  /** The value that the text stands for. */
  get value(): unknown {
    return this.#read(this.#text)
  }

  toString(): string {
    return this.#text
  }
}
