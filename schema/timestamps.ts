/**
 * The two columns every table has, and the one way an instant is stored: `timestamptz(3)`. Three digits, because a
 * JavaScript Date holds milliseconds: what was read compares equal to what is stored, so a page cursor made from a row
 * finds that row again.
 */
import { sql } from 'drizzle-orm'
import { timestamp } from 'drizzle-orm/pg-core'

/** A column for an instant, read and written as Date. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' })

/** `createdAt` and `updatedAt`, both by the server's clock: an update that is compiled once must not keep an old time. */
export const timestamps = () => ({
  createdAt: instant('created_at').notNull().defaultNow(),
  updatedAt: instant('updated_at')
    .notNull()
    .defaultNow()
    .$onUpdate(() => sql`now()`),
})
