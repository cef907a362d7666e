/**
 * Randomness that can be replayed: every chaos run prints its seed, and RIVULET_SEED runs it again.
 * mulberry32: small, fast, good enough to choose faults with.
 */

export interface Random {
  readonly seed: number
  /** From 0 up to, not including, 1. */
  next(): number
  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number
  pick<T>(values: readonly T[]): T
}

/** Prints the seed under `name`, so that a failure can be run again. */
export function createRandom(name: string, seed = seedFromEnvironment()): Random {
  console.log(`${name}: RIVULET_SEED=${seed}`)
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  const pick = <T>(values: readonly T[]): T => {
    if (values.length === 0) throw new Error('nothing to pick from')
    return values[between(0, values.length - 1)] as T
  }
  return { seed, next, between, pick }
}

function seedFromEnvironment(): number {
  const given = process.env.RIVULET_SEED
  return given ? Number(given) : Math.floor(Math.random() * 2 ** 32)
}

/** True for the long forms of `npm run test:chaos`. */
export const long = process.env.RIVULET_LONG === '1'
