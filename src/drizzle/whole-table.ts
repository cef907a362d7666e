/**
 * The list of all columns of a table, rendered once. Drizzle renders it anew for every query, column by column, which was a
 * quarter of the CPU of a read by key with `session.db`; with one piece of text in its place the query is the same.
 */
import { getTableColumns, is, SQL, sql, StringChunk } from 'drizzle-orm'
import { type PgDialect, PgTable } from 'drizzle-orm/pg-core'

/** A query that Drizzle has taken together. */
export type SelectQuery = Parameters<PgDialect['buildSelectQuery']>[0]
type SelectList = NonNullable<SelectQuery['fieldsFlat']>

/** Renders a query. */
type Render = (query: SQL) => string

/** The lists of one dialect. */
export class WholeTables {
  /** By the columns of a table. */
  readonly #lists = new WeakMap<object, SelectList>()

  /** The list of a query of one table that selects all its columns; undefined for any other query. */
  of({ table, fields, fieldsFlat, joins }: SelectQuery, build: (query: SelectQuery) => SQL, render: Render) {
    if (fieldsFlat || (joins && joins.length > 0) || !is(table, PgTable)) return undefined
    const columns: Record<string, unknown> = getTableColumns(table)
    const names = Object.keys(columns)
    if (names.length === 0 || Object.keys(fields).length !== names.length) return undefined
    // An alias has other columns each time.
    for (const name of names) if (fields[name] !== columns[name]) return undefined
    let list = this.#lists.get(columns)
    if (!list) {
      const whole = render(build({ table, fields, setOperators: [] }))
      const [before, behind] = ['select ', ` from ${render(sql`${table}`)}`]
      const text = whole.slice(before.length, -behind.length)
      list = [{ path: [], field: new SQL([new StringChunk(text)]) }]
      this.#lists.set(columns, list)
    }
    return list
  }
}
