/**
 * Names and texts as SQL spells them.
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
 */

/** A name between quotes: an SQL identifier, whatever characters it has. */
export function quotedName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A name as PostgreSQL's quote_ident() shows it, but for keywords: quoted only where it has to be. */
export function shownName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : quotedName(name)
}

/** A text as an SQL literal; with standard_conforming_strings, which is the default. */
export function quotedLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
