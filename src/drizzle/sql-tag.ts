/**
 * The `sql` of a session: plain SQL as a tagged template. Interpolated values become parameters, always; there is no
 * way to interpolate text. The statement starts at once, like any async call, and resolves to its rows as objects.
 */
import { Column, is, SQL, Table } from 'drizzle-orm'
import { UsageError } from '../errors.ts'
import type { Result } from '../pool/connection.ts'
import type { Drizzle, StatementRunner } from './driver.ts'
import type { Ask } from './plain-rows.ts'

/** Rows of a plain SQL statement; `count` is the number of rows returned or touched. */
export interface Rows<TRow> extends Array<TRow> {
  readonly count: number
}

/** Runs one statement; type its rows with `sql<{ id: number }>` + template. */
export type SqlTag = <TRow extends object = Record<string, unknown>>(
  strings: TemplateStringsArray,
  ...values: readonly unknown[]
) => Promise<Rows<TRow>>

/** A session, as far as its tag needs it. */
type TagRunner = StatementRunner & { readonly drizzle: Drizzle }

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
export function createSqlTag(runner: TagRunner): SqlTag {
  const ask: Ask = (text, parameters, options, read) => runner.run(text, parameters, options, read)
  const read = (rows: Result) => runner.drizzle.plainRows.objects(rows, { instants: true }, ask)
  const tag = (strings: TemplateStringsArray, ...values: readonly unknown[]): Promise<Result> => {
    let text: string
    try {
      text = templateText(strings, values)
    } catch (error) {
      return Promise.reject(error)
    }
    return runner.run(text, values, { prepare: values.length > 0 }, read as (rows: Result) => Result)
  }
  return tag as SqlTag
}
