/**
 * Corrects the types of columns in drizzle-kit's SQL. It quotes a type that it does not know as one name, however the
 * type is written: `app.email` becomes `"app.email"`, `"Pub"` becomes `""Pub""`, and before the new type of a column it
 * puts the schema `"undefined"`. PostgreSQL has no such types. Only one plain name is right in quotes.
 */

const quotedName = String.raw`"[^"\n]+"`
const name = String.raw`(?:"(?:[^"\n]|"")+"|[\p{L}_][\p{L}\p{N}_$]*)`
const qualified = String.raw`${name}(?:\.${name})?`
/** `app."Email"`, `varbit(3)`, `character varying(20) collate "C"`. */
const type = String.raw`${qualified}(?: [a-z ]+)?(?:\([^()"\n]*\))?(?: collate ${qualified})?`
const column = String.raw`\t${quotedName}|ALTER TABLE (?:${quotedName}\.)?${quotedName} ADD COLUMN ${quotedName}`
const changed = String.raw`ALTER TABLE (?:${quotedName}\.)?${quotedName} ALTER COLUMN ${quotedName} SET DATA TYPE`
const written = new RegExp(
  String.raw`^(${column}|${changed}) ("undefined"\.)?"(${type})"(?=(?:\[\d*\])*(?:[ ,;]|$))`,
  'gmu',
)

/** drizzle-kit's SQL with the types of its columns as the schema in code spells them. */
export function withTypesAsDeclared(sql: string): string {
  return sql.replaceAll(written, (text, start: string, nowhere: string | undefined, declared: string) => {
    if (/[."(]/.test(declared)) return `${start} ${declared}`
    return nowhere === undefined ? text : `${start} "${declared}"`
  })
}
