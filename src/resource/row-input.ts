/**
 * Rows as JSON that a client sends: every fault at once, each with its place, and no more of them than a person reads. A
 * property that is not there, not for clients or made by the database is refused, never ignored.
 */
import { InvalidInput } from '../errors.ts'
import { InvalidValue, type Purpose } from '../repository/columns/invalid-value.ts'
import { isPlain } from '../values/plain-object.ts'
import type { PlannedResource, ResourceColumn } from './resource.ts'

/** What a row is for: to be added, to change one, or to take one's place. */
export type RowUse = 'insert' | 'patch' | 'replace'

/** One fault, and the way to it. */
export interface RowFault {
  readonly path: readonly (string | number)[]
  /** Of a body in lines, counted from 1. */
  readonly line?: number
  readonly detail: string
}

/** Rows that cannot be taken as they are. */
export class WrongRows extends Error {
  readonly faults: readonly RowFault[]

  constructor(faults: readonly RowFault[]) {
    super('the body cannot be taken as it is')
    this.faults = faults.slice(0, mostFaults)
  }
}

/** Faults that are told at once. */
export const mostFaults = 20

/** A row by its properties, whatever its table. */
export type RowValues = Record<string, unknown>

/** The row of a JSON value. @throws WrongRows */
export function readRow(resource: PlannedResource, given: unknown, use: RowUse): RowValues {
  const faults: RowFault[] = []
  const row = checkedRow(resource, given, use, [], faults)
  if (faults.length > 0) throw new WrongRows(faults)
  return row
}

/** The new rows of a JSON array. @throws WrongRows */
export function readRows(resource: PlannedResource, given: readonly unknown[]): RowValues[] {
  const faults: RowFault[] = []
  const rows: RowValues[] = []
  for (let index = 0; index < given.length && faults.length < mostFaults; index++) {
    rows.push(checkedRow(resource, given[index], 'insert', [index], faults))
  }
  if (faults.length > 0) throw new WrongRows(faults)
  return rows
}

/** A row, with its faults put to those of others. */
export function checkedRow(
  { columns }: PlannedResource,
  given: unknown,
  use: RowUse,
  path: readonly number[],
  faults: RowFault[],
): RowValues {
  const add = (detail: string, ...name: string[]) => faults.push({ path: [...path, ...name], detail })
  if (!isPlain(given)) {
    add('must be an object')
    return {}
  }
  for (const name of Object.keys(given)) {
    if (faults.length >= mostFaults) return given
    const column = columns.get(name)
    if (!column) add('is no property of this resource', name)
    else if (!column.writable) add('is kept by the service: leave it out', name)
    else {
      const fault = faultOf(column, given[name], 'store')
      if (fault !== undefined) add(fault, name)
    }
  }
  if (use === 'patch') return given
  for (const { property, required } of columns.values()) {
    if (required && !Object.hasOwn(given, property)) add('is missing', property)
  }
  return use === 'insert' ? given : { ...defaultsOf(columns), ...given }
}

/** A row that takes another's place has its defaults where it says nothing; what the database made up stays. */
function defaultsOf(columns: PlannedResource['columns']): RowValues {
  const known = [...columns.values()].filter((column) => column.writable && column.default !== undefined)
  return Object.fromEntries(known.map((column) => [column.property, column.default]))
}

/** Why a JSON value is none of a column; undefined when it is one. */
export function faultOf(column: ResourceColumn, value: unknown, purpose: Purpose): string | undefined {
  if (value === null) return column.nullable ? undefined : 'must not be null'
  try {
    column.json.encode(value, purpose)
    return undefined
  } catch (error) {
    if (error instanceof InvalidValue || error instanceof InvalidInput) return error.message.slice(0, 300)
    throw error
  }
}
