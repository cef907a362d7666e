/** Text as a parameter, where more is known of it than that it is text. */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { Complaint, type Encode, text } from './complaint.ts'

export function limitedText(column: PgColumn): Encode {
  const { length } = column as unknown as { length?: number }
  return (value, purpose) => {
    const given = text(value)
    // The server counts code points, and cuts spaces beyond the limit off without a word.
    if (purpose === 'store' && length !== undefined && given.length > length && [...given].length > length) {
      throw new Complaint(`must have at most ${length} characters`)
    }
    return given
  }
}

export function enumEncoder(column: PgColumn): Encode {
  const values = new Set<unknown>(column.enumValues)
  return (value) => {
    if (values.has(value)) return value
    throw new Complaint(`must be one of ${column.enumValues?.join(', ')}`)
  }
}
