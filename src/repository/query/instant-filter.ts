/**
 * Comparisons of a timestamp with Dates. PostgreSQL keeps microseconds and a Date milliseconds, so the Date that was
 * read from a row would equal no row. A row is therefore compared by the Date that it shows, which stands for the first
 * to the last microsecond of its millisecond. The column itself is not changed, so that an index on it serves the
 * condition.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { Values } from './compiled-statement.ts'
import type { PlannedColumn } from './table-plan.ts'

/** A piece of SQL, made when the statement is compiled. */
export type Fragment = () => SQL

/** The comparison with an encoded Date; undefined for operators that do not compare. */
export function dateComparison(
  { property, reference }: PlannedColumn,
  name: string,
  date: string,
  values: Values,
): Fragment | undefined {
  const first = () => values.take(date, property)
  const last = () => values.take(lastMicrosecond(date), property)
  const condition = (operator: SQL, end: Fragment) => () => sql`${reference} ${operator} ${end()}`
  switch (name) {
    case 'gte':
      return condition(sql`>=`, first())
    case 'gt':
      return condition(sql`>`, last())
    case 'lt':
      return condition(sql`<`, first())
    case 'lte':
      return condition(sql`<=`, last())
    case 'eq':
    case 'ne': {
      const [from, until] = [first(), last()]
      const operator = name === 'eq' ? sql`between` : sql`not between`
      return () => sql`${reference} ${operator} ${from()} and ${until()}`
    }
    default:
      return undefined
  }
}

/**
 * The condition that a column shows one of these Dates, or none of them. There is at least one; each comes with its
 * encoded text.
 */
export function dateList(
  { property, reference }: PlannedColumn,
  name: 'in' | 'notIn',
  dates: readonly { readonly date: Date; readonly encoded: string }[],
  values: Values,
): Fragment {
  const elements = values.take(
    dates.map(({ encoded }) => encoded),
    property,
  )
  const shown = sql`date_trunc('milliseconds', ${reference})`
  if (name === 'notIn') return () => sql`${shown} <> all(${elements()})`
  // A range that an index can find, because an index has the column's values, not the Dates they show.
  const inOrder = dates.toSorted((one, other) => one.date.getTime() - other.date.getTime())
  const least = values.take(inOrder[0]?.encoded, property)
  const greatest = values.take(lastMicrosecond(inOrder.at(-1)?.encoded ?? ''), property)
  return () => sql`(${reference} between ${least()} and ${greatest()} and ${shown} = any(${elements()}))`
}

/** The end of a Date's millisecond: `…05.123Z` is `…05.123999Z`. */
function lastMicrosecond(date: string): string {
  return date.replace(/(?<=\.\d{3})(?=Z)/, '999')
}
