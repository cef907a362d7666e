/** Expressions as PostgreSQL prints them, on their way into SQL that it reads again and into TypeScript. */

/**
 * `x in ('a', 'b')` on a varchar is printed as `x::text = any ((array['a'::varchar, 'b'::varchar])::text[])`, which, read
 * again, is another expression and printed otherwise. Without the cast PostgreSQL makes the first one of it.
 */
export function asFirstWritten(text: string): string {
  return text.replaceAll(
    /\b(ANY|ALL) \(\((ARRAY\[(?:'(?:[^']|'')*'::character varying(?:, )?)+\])\)::text\[\]\)/g,
    '$1 ($2)',
  )
}

/**
 * A bare constant in a view has no name of its own, but its cast, read again, would give it one: `select null::int4`
 * becomes `null::int4 as int4`.
 */
export function withNamelessConstants(view: string): string {
  return view.replaceAll(
    /(\bSELECT (?:DISTINCT )?|,\n\s*)((?:NULL|'(?:[^']|'')*')::(?:(?! AS )[\w ."[\]])+(?:\(\d+(?:,\d+)?\))?)(?=,?\n|$)/g,
    '$1$2 AS "?column?"',
  )
}

/** SQL as a template of Drizzle's. */
export function sqlTemplate(sql: string): string {
  // A template turns a bare \r into \n.
  const escaped = asFirstWritten(sql)
    .replaceAll(/[\\`]|\$(?=\{)/g, '\\$&')
    .replaceAll('\r', String.raw`\r`)
  return `sql\`${escaped}\``
}
