/**
 * Reads rows that no Drizzle column describes, by the types that the answer names: plain SQL, and the expressions of a
 * query. PostgreSQL's own types are known; a type of the database's own may be an array, which only its catalog tells. It
 * is asked in the same session when a row first shows such a type, once an engine: a type that is made anew has another oid.
 * https://www.postgresql.org/docs/current/catalog-pg-type.html
 */
import type { Result, StatementOptions } from '../pool/connection.ts'
import {
  arrayReader,
  firstOwnOid,
  itself,
  type PlainStyle,
  plainReader,
  type Read,
  textReader,
} from '../values/server-type.ts'

import type { PlainPlaces } from './row-mapper.ts'

/** Runs one statement in the session that got the rows. */
export type Ask = <T>(
  text: string,
  parameters: readonly unknown[],
  options: StatementOptions,
  read: (rows: Result) => T,
) => Promise<T>

/** Oids of array types, with the type of their elements under its domains, and what stands between two of them. */
const askArrays = `
with recursive element (type, base) as (
  select a.oid, a.typelem from pg_catalog.pg_type a
  join pg_catalog.pg_type e on e.oid = a.typelem and e.typarray = a.oid
  where a.oid = any ($1::pg_catalog.oid[])
  union all
  select element.type, d.typbasetype from element join pg_catalog.pg_type d on d.oid = element.base and d.typtype = 'd'
)
select type, base, typdelim::text from element join pg_catalog.pg_type b on b.oid = base and b.typtype <> 'd'`

/** Types by their names, with the type under their domains. */
const askNames = `
with recursive own (name, base) as (
  select name, pg_catalog.to_regtype(name)::pg_catalog.oid from unnest($1::text[]) name
  union all
  select own.name, d.typbasetype from own join pg_catalog.pg_type d on d.oid = own.base and d.typtype = 'd'
)
select name, base from own join pg_catalog.pg_type b on b.oid = base and b.typtype <> 'd'`

/** A name that PostgreSQL can look up without an error. */
const typeName = /^(?:[a-z_][\w$]*|"[^"]+")(?:\.(?:[a-z_][\w$]*|"[^"]+"))?$/i

interface OwnArray {
  readonly element: number
  readonly delimiter: string
}

/** What is to be read of a row: a key or index, and its reader. */
type Reads = readonly (readonly [key: string | number, read: Read])[]

type ResultColumns = Result['columns']

/** The types that one engine has met. */
export class PlainRows {
  /** Own types of the database that have been asked for; undefined for those that are no arrays. */
  readonly #own = new Map<number, OwnArray | undefined>()
  /** What reads the text of types that were asked for by name. */
  readonly #named = new Map<string, Read>()
  /** What is to be read of the rows of a prepared statement, whose columns are always the same object. */
  readonly #reads = { text: new WeakMap<ResultColumns, Reads>(), instants: new WeakMap<ResultColumns, Reads>() }

  /** Reads rows that are objects, in place; a promise where a type must be asked for. */
  objects(rows: Result, style: PlainStyle, ask: Ask): Result | Promise<Result> {
    const columns = rows.columns ?? []
    const kept = style.instants ? this.#reads.instants : this.#reads.text
    const known = kept.get(columns)
    if (known) return applied(rows as Result<Record<string, unknown>>, known)
    return this.#learnt(columns, ask, () => {
      // Of columns with one name the last is the one that the row shows.
      const types = new Map(columns.map(({ name, type }) => [name, type]))
      const reads = this.#readsOf(types, style)
      kept.set(columns, reads)
      return applied(rows as Result<Record<string, unknown>>, reads)
    })
  }

  /** Reads the values at these places of rows that are arrays, in place; a promise where a type must be asked for. */
  values(rows: Result<unknown[]>, { expressions, columns }: PlainPlaces, ask: Ask): Result | Promise<Result> {
    const typeOf = (place: number) => rows.columns?.[place]?.type ?? 0
    const asked = expressions.flatMap((place) => rows.columns?.[place] ?? [])
    return this.#learnt(asked, ask, () => {
      // An own type that is under no domain is read by its column.
      const known = columns.filter((place) => typeOf(place) < firstOwnOid)
      const types = new Map([...expressions, ...known].map((place) => [place, typeOf(place)]))
      return applied(rows, this.#readsOf(types, { instants: false }))
    })
  }

  /** What reads the text of types of these names; a promise where one must be asked for. */
  named(names: readonly string[], ask: Ask): ReadonlyMap<string, Read> | Promise<ReadonlyMap<string, Read>> {
    const unknown = names.filter((name) => !this.#named.has(name) && typeName.test(name))
    if (unknown.length === 0) return this.#named
    return ask(askNames, [unknown], { arrays: true, prepare: true }, (found) => {
      for (const name of unknown) this.#named.set(name, itself)
      for (const [name, base] of found as unknown as [string, number][]) {
        this.#named.set(name, textReader(base, { instants: false }) ?? itself)
      }
      return this.#named
    })
  }

  /** Asks about the types that rows show, where they are not known; `readerOf` knows them then. */
  learn(rows: Result, ask: Ask): Result | Promise<Result> {
    return this.#learnt(rows.columns ?? [], ask, () => rows)
  }

  /** What is still to be read of a value of this type; undefined for nothing. */
  readerOf(type: number, style: PlainStyle): Read | undefined {
    if (type < firstOwnOid) return plainReader(type, style)
    const own = this.#own.get(type)
    return own && arrayReader(textReader(own.element, style) ?? itself, own.delimiter)
  }

  #readsOf(types: ReadonlyMap<string | number, number>, style: PlainStyle): Reads {
    return Array.from(types, ([key, type]) => [key, this.readerOf(type, style)] as const).flatMap(([key, read]) =>
      read ? [[key, read] as const] : [],
    )
  }

  #learnt(columns: ResultColumns, ask: Ask, read: () => Result): Result | Promise<Result> {
    const unknown = columns.filter(({ type }) => type >= firstOwnOid && !this.#own.has(type)).map(({ type }) => type)
    if (unknown.length === 0) return read()
    return ask(askArrays, [unknown], { arrays: true, prepare: true }, (found) => {
      for (const type of unknown) this.#own.set(type, undefined)
      for (const [type, element, delimiter] of found as unknown as [number, number, string][]) {
        this.#own.set(type, { element, delimiter })
      }
      return read()
    })
  }
}

function applied<TRow extends object>(rows: Result<TRow>, reads: Reads): Result {
  for (const [key, read] of reads) {
    for (const row of rows as Result<Record<string | number, unknown>>) {
      const value = row[key]
      if (typeof value === 'string') row[key] = read(value)
    }
  }
  return rows
}
