/**
 * Names and texts as SQL spells them.
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
 */

/** Quotes a name: an SQL identifier, with any characters. */
export function quotedName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Shows a name as PostgreSQL's quote_ident() does, but for keywords: quoted only if it has to be. */
export function shownName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : quotedName(name)
}

/** Quotes a text as an SQL literal, for servers with standard_conforming_strings, which is the default. */
export function quotedLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
