/**
 * Intervals as parameters. The server would round what is smaller than a microsecond, or smaller than the column keeps:
 * `interval day` keeps no hours. Their grammar is checked only as far as this needs.
 * https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-INTERVAL-INPUT
 */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { traitsOf } from '../../drizzle/column-traits.ts'
import { anyUnits, wholeUnits } from '../../values/interval.ts'
import { InvalidValue, type Encode, checkedText } from './invalid-value.ts'
import { fractionIssue } from '../../values/temporal.ts'

/** The encoder of `interval`. */
export function intervalEncoder(column: PgColumn): Encode {
  const { fields, precision = 6 } = traitsOf(column)
  const last = fields?.split(' ').at(-1) ?? 'second'
  const count = ['year', 'month', 'day', 'hour', 'minute'].indexOf(last) + 1
  const kept = count > 0 ? wholeUnits(count) : anyUnits(precision)
  const any = anyUnits(6)
  return (value, purpose) => {
    const given = checkedText(value)
    if (!any.test(given)) throw new InvalidValue("must be an interval such as '1 day 02:03:04' or 'P1DT2H3M4S'")
    if (purpose === 'compare') return given
    const issue = fractionIssue(given, precision)
    if (issue !== undefined) throw new InvalidValue(issue)
    if (kept.test(given)) return given
    throw new InvalidValue(
      count > 0
        ? `must be whole ${last}s or greater, such as '1 ${last}'`
        : 'has units that are smaller than the column keeps',
    )
  }
}
