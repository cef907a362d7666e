/**
 * The `sql` of a session: plain SQL as a tagged template. Interpolated values become parameters, always; there is no
 * way to interpolate text. The statement starts at once, like any async call, and answers its rows as objects.
 */
import { Column, is, SQL, Table } from 'drizzle-orm'
import { UsageError } from '../errors.ts'
import { plainParsers } from '../pool/codec.ts'
import type { Result, StatementOptions } from '../pool/connection.ts'

/** Rows of a plain SQL statement; `count` is the number of rows returned or touched. */
export interface Rows<TRow> extends Array<TRow> {
  readonly count: number
}

/** Runs one statement; type its rows with `sql<{ id: number }>` + template. */
export type SqlTag = <TRow extends object = Record<string, unknown>>(
  strings: TemplateStringsArray,
  ...values: readonly unknown[]
) => Promise<Rows<TRow>>

type Run = (
  text: string,
  parameters: readonly unknown[],
  options: StatementOptions,
  read: (rows: Result) => Result,
) => Promise<Result>

const texts = new WeakMap<TemplateStringsArray, string>()

/** The statement of a template: `$1`, `$2`, … where values stand. @throws UsageError when it is no template. */
function templateText(strings: TemplateStringsArray, values: readonly unknown[]): string {
  if (!Array.isArray(strings) || !Array.isArray(strings.raw)) {
    throw new UsageError('sql is a template tag: write sql`select …${value}…`, not sql(text)')
  }
  const fragment = values.find((value) => is(value, SQL) || is(value, Table) || is(value, Column))
  if (fragment !== undefined) {
    throw new UsageError(
      "a session's sql takes values only; for Drizzle tables, columns and fragments use db.execute(sql`…`)",
    )
  }
  let text = texts.get(strings)
  if (text === undefined) {
    text = strings.reduce((before, part, index) => `${before}$${index}${part}`)
    texts.set(strings, text)
  }
  return text
}

/** Makes the tag for one session. */
export function createSqlTag(run: Run): SqlTag {
  const tag = (strings: TemplateStringsArray, ...values: readonly unknown[]): Promise<Result> => {
    let text: string
    try {
      text = templateText(strings, values)
    } catch (error) {
      return Promise.reject(error)
    }
    return run(text, values, { prepare: values.length > 0 }, decodePlain)
  }
  return tag as SqlTag
}

/** Decodes in place what no Drizzle column decodes: json and timestamptz. */
export function decodePlain(rows: Result): Result {
  // Of columns with one name the last is the one that the row shows.
  const types = new Map(rows.columns?.map(({ name, type }) => [name, type]))
  for (const [name, type] of types) {
    const parser = plainParsers[type]
    if (!parser) continue
    for (const row of rows as Record<string, unknown>[]) {
      const value = row[name]
      if (typeof value === 'string') row[name] = parser(value)
    }
  }
  return rows
}
