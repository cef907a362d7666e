/** Text as PostgreSQL can hold it. https://www.postgresql.org/docs/current/datatype-character.html */

/** Why a text cannot be stored: NUL, or half a surrogate pair, which UTF-8 cannot carry; undefined when it can. */
export function textIssue(text: string): string | undefined {
  if (text.includes('\0')) return 'has a NUL character, which PostgreSQL cannot store'
  return text.isWellFormed() ? undefined : 'has half of a surrogate pair, which UTF-8 cannot store'
}
