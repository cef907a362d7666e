/**
 * Randomness that is the same in every run: what a factory fills its rows with.
 * mulberry32: small, fast, good enough for test data, and nothing else.
 */

/** Chooses values; the same seed chooses the same ones in the same order. */
export interface SeededRandom {
  /** A number from 0 up to, not including, 1. */
  number(): number
  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number
  /** One of `values`. */
  pick<T>(values: readonly [T, ...T[]]): T
  /** A UUID of version 4. */
  uuid(): string
}

/** The randomness that belongs to a text, such as `42 products 7`. */
export function seededRandom(seed: string): SeededRandom {
  let state = hash(seed)
  const number = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const integer = (least: number, most: number) => least + Math.floor(number() * (most - least + 1))
  const digit = (least: number, most: number) => integer(least, most).toString(16)
  return {
    number,
    integer,
    pick: (values) => values[integer(0, values.length - 1)] as (typeof values)[number],
    uuid: () =>
      'xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx'.replaceAll(/[xy]/g, (place) =>
        place === 'x' ? digit(0, 15) : digit(8, 11),
      ),
  }
}

/** FNV-1a: near seeds, such as 1 and 2, start far apart. */
function hash(text: string): number {
  let state = 0x811c9dc5
  for (const character of text) state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0
  return state
}
