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

type Run = (text: string, parameters: readonly unknown[], options: StatementOptions) => Promise<Result>

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
  const tag = async (strings: TemplateStringsArray, ...values: readonly unknown[]) => {
    const text = templateText(strings, values)
    return decodePlain(await run(text, values, { prepare: values.length > 0 }))
  }
  return tag as SqlTag
}

/** Decodes in place what no Drizzle column decodes: json and timestamptz. */
export function decodePlain(rows: Result): Result {
  const decoded = rows.columns?.filter((column) => plainParsers[column.type] !== undefined) ?? []
  for (const { name, type } of decoded) {
    const parser = plainParsers[type]
    for (const row of rows as Record<string, unknown>[]) {
      const value = row[name]
      if (typeof value === 'string') row[name] = parser?.(value)
    }
  }
  return rows
}
