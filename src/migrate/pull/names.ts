/** Names in TypeScript for names in the database: camelCase, unique, and none that means something else. */

const reserved = new Set(
  (
    'abstract any arguments as async await boolean break case catch class const continue debugger default delete do ' +
    'else enum eval export extends false finally for from function get if implements import in infer instanceof ' +
    'interface is keyof let module namespace never new null number object of package private protected public ' +
    'readonly require return set static string super switch symbol this throw true try type typeof undefined unique ' +
    'unknown var void while with yield'
  ).split(' '),
)

/** `film_id`, `Film ID` and `filmId` become `filmId`. */
export function camelCase(name: string): string {
  const words = name.split(/(?:_|\P{ID_Continue})+/u).filter(Boolean)
  const joined = words
    .map((word, index) => {
      const plain = word === word.toUpperCase() ? word.toLowerCase() : word
      const first = plain.charAt(0)
      return (index === 0 ? first.toLowerCase() : first.toUpperCase()) + plain.slice(1)
    })
    .join('')
  return /^\p{ID_Start}/u.test(joined) ? joined : `_${joined}`
}

/** Gives out names; a name that is taken gets `kind` or a number at its end. */
export class Names {
  readonly #taken = new Set<string>()

  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set(taken)
  }

  /** A name for something that is to be called `wanted`; `kind`, such as Table, tells it from others of that name. */
  give(wanted: string, kind = ''): string {
    let name = wanted
    if (this.#isTaken(name) && kind !== '') name = `${wanted}${kind}`
    for (let number = 2; this.#isTaken(name); number += 1) name = `${wanted}${kind}${number}`
    this.#taken.add(name)
    return name
  }

  #isTaken(name: string): boolean {
    return this.#taken.has(name) || reserved.has(name)
  }
}

/** A string literal of TypeScript. */
export function quotedText(text: string): string {
  const escaped = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")
  return `'${escaped}'`
}
