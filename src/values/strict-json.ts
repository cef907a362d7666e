/**
 * JSON as RFC 8259 has it and nothing else, read without losing anything: a number that a double cannot hold, a key that
 * stands in an object twice, and a document that is deeper or wider than a client can mean are refused and not repaired.
 * `JSON.parse` would round the first, drop the second and take the third. https://www.rfc-editor.org/rfc/rfc7493
 */

/** How deep values may stand in each other, how many members an object may have, how many characters a number. */
const most = { depth: 100, members: 1000, digits: 1000 }

/** Why a text is refused. `path` leads to the fault in JSON that is well-formed; undefined for what is no JSON. */
export class JsonFault extends Error {
  readonly path: readonly (string | number)[] | undefined

  constructor(message: string, path?: readonly (string | number)[]) {
    super(message)
    this.path = path
  }
}

/** Reads a JSON text. @throws JsonFault */
export function parseJson(text: string): unknown {
  const reader = new Reader(text)
  const value = reader.value([])
  reader.end()
  return value
}

/** The number that a JSON number's text means; undefined when a double does not hold it. */
export function exactNumber(text: string): number | undefined {
  const number = Number(text)
  // A double holds any fifteen digits.
  if (text.length <= 15 && !/e/i.test(text)) return number
  return text.length <= most.digits && digitsOf(text) === digitsOf(String(number)) ? number : undefined
}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

/** True for the text of a JSON number. */
export function isNumberText(text: string): boolean {
  numberPattern.lastIndex = 0
  return numberPattern.test(text) && numberPattern.lastIndex === text.length
}

/** Sign, significant digits and exponent, the same for all ways to write a number. */
function digitsOf(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? []
  const digits = whole + fraction
  const first = digits.search(/[1-9]/)
  return first < 0 ? '0' : `${sign}${digits.slice(first).replace(/0+$/, '')}e${Number(exponent) + whole.length - first}`
}

const literals: readonly (readonly [string, unknown])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
]

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** The value that begins here; `path` leads to it. */
  value(path: (string | number)[]): unknown {
    this.#space()
    const first = this.#text[this.#at]
    if ((first === '{' || first === '[') && path.length >= most.depth) {
      throw new JsonFault(`values may stand in each other ${most.depth} deep`, [])
    }
    if (first === '{') return this.#object(path)
    if (first === '[') return this.#array(path)
    if (first === '"') return this.#string()
    const literal = literals.find(([word]) => this.#text.startsWith(word, this.#at))
    if (!literal) return this.#number(path)
    this.#at += literal[0].length
    return literal[1]
  }

  end(): void {
    this.#space()
    if (this.#at < this.#text.length) throw this.#malformed()
  }

  #object(path: (string | number)[]): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    let members = 0
    this.#at += 1
    for (; !this.#closes('}', members > 0); members++) {
      if (this.#text[this.#at] !== '"') throw this.#malformed()
      const key = this.#string()
      const inner = [...path, key]
      if (Object.hasOwn(object, key)) throw new JsonFault('stands in its object twice', inner)
      if (members >= most.members) throw new JsonFault(`may have ${most.members} members`, path)
      this.#space()
      this.#expect(':')
      // A plain assignment to __proto__ would set the prototype.
      const descriptor = { value: this.value(inner), enumerable: true, writable: true, configurable: true }
      Object.defineProperty(object, key, descriptor)
    }
    return object
  }

  #array(path: (string | number)[]): unknown[] {
    const array: unknown[] = []
    this.#at += 1
    while (!this.#closes(']', array.length > 0)) array.push(this.value([...path, array.length]))
    return array
  }

  /** True behind the closing bracket; false before a further item, whose comma has been read. */
  #closes(bracket: string, hasItems: boolean): boolean {
    this.#space()
    if (this.#text[this.#at] === bracket) {
      this.#at += 1
      return true
    }
    if (hasItems) this.#expect(',')
    this.#space()
    return false
  }

  #string(): string {
    const start = this.#at
    let escaped = false
    for (let at = start + 1; at < this.#text.length; at++) {
      const code = this.#text.charCodeAt(at)
      if (code === 0x22) {
        this.#at = at + 1
        return escaped ? this.#unescaped(start) : this.#text.slice(start + 1, at)
      }
      if (code < 0x20) break
      if (code !== 0x5c) continue
      escaped = true
      at += 1
    }
    throw this.#malformed()
  }

  #unescaped(start: number): string {
    try {
      return JSON.parse(this.#text.slice(start, this.#at)) as string
    } catch {
      throw this.#malformed()
    }
  }

  #number(path: (string | number)[]): number {
    numberPattern.lastIndex = this.#at
    const [token] = numberPattern.exec(this.#text) ?? []
    if (token === undefined) throw this.#malformed()
    this.#at += token.length
    const number = exactNumber(token)
    if (number !== undefined) return number
    throw new JsonFault('has more digits than a JSON number keeps: send it as a string', path)
  }

  #space(): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
    }
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) throw this.#malformed()
    this.#at += 1
  }

  #malformed(): JsonFault {
    return new JsonFault(`is not valid JSON at character ${this.#at}`)
  }
}
