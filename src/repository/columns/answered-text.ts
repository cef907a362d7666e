/**
 * A value of an expression, whose type only the answer tells: Drizzle knows none. It is read by that type, and goes as a
 * parameter again exactly as it came.
 */
import type { Read } from '../../values/server-type.ts'

export class AnsweredText {
  readonly #text: string
  readonly #read: Read

  constructor(text: string, read: Read) {
    this.#text = text
    this.#read = read
  }

  /** What the text says. */
  get value(): unknown {
    return this.#read(this.#text)
  }

  toString(): string {
    return this.#text
  }
}
