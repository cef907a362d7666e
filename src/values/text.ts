/** Checks text for what PostgreSQL cannot hold. https://www.postgresql.org/docs/current/datatype-character.html */

/**
 * What makes a text impossible to store: NUL, or half of a surrogate pair, which UTF-8 cannot encode; undefined when
 * nothing does.
 */
export function textIssue(text: string): string | undefined {
  if (text.includes('\0')) return 'has a NUL character, which PostgreSQL cannot store'
  return text.isWellFormed() ? undefined : 'has half of a surrogate pair, which UTF-8 cannot store'
}
