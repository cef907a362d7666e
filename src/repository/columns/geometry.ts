/**
 * Points, lines and vectors as parameters. Drizzle's mappings would drop a third coordinate, take text for a number and
 * write null for NaN.
 */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { traitsOf } from '../../drizzle/column-traits.ts'
import { InvalidValue, type Encode, checkedType } from './invalid-value.ts'
import { finite, finiteOrNot } from './number.ts'

/** Takes the numbers out of a value; the names also say how many there are. */
type Coordinates = (value: unknown, names: readonly string[]) => number[]

/** Of `[x, y]`. */
export const inArray: Coordinates = (value, names) => {
  if (!Array.isArray(value) || value.length !== names.length) {
    throw new InvalidValue(`must be an array of ${names.length} numbers`)
  }
  return Array.from(value as unknown[], coordinate)
}

/** Of `{ x, y }`. */
export const inObject: Coordinates = (value, names) => {
  const given = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  if (Object.keys(given).length !== names.length || !names.every((name) => Object.hasOwn(given, name))) {
    throw new InvalidValue(`must be an object of the numbers ${names.join(', ')}`)
  }
  return names.map((name) => coordinate(given[name]))
}

function coordinate(value: unknown): number {
  if (Number.isNaN(checkedType<number>(value, 'number'))) throw new InvalidValue('must not contain NaN')
  return value as number
}

/** The encoder of `point`. */
export function pointEncoder(coordinates: Coordinates): Encode {
  return (value) => `(${coordinates(value, ['x', 'y']).map(finiteOrNot).join(',')})`
}

/** The encoder of `line`: A, B and C of Ax + By + C = 0. */
export function lineEncoder(coordinates: Coordinates): Encode {
  return (value) => {
    const numbers = coordinates(value, ['a', 'b', 'c'])
    if (numbers[0] === 0 && numbers[1] === 0) throw new InvalidValue('must not have zero for both A and B')
    return `{${numbers.map(finiteOrNot).join(',')}}`
  }
}

/** The encoder of PostGIS' points. */
export function geometryEncoder(coordinates: Coordinates): Encode {
  return (value) => `point(${coordinates(value, ['x', 'y']).map(finite).join(' ')})`
}

/** The encoder of pgvector's vectors. */
export function vectorEncoder(column: PgColumn): Encode {
  const { dimensions } = traitsOf(column)
  return (value) => {
    if (!Array.isArray(value) || value.length !== dimensions) {
      throw new InvalidValue(`must be an array of ${dimensions} numbers`)
    }
    return `[${Array.from(value as unknown[], finite).join(',')}]`
  }
}
