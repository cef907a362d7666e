/**
 * SQL in tokens, by PostgreSQL's rules for what a literal, a comment and a name are: enough to find the names in a
 * statement, and to leave its literals out. https://www.postgresql.org/docs/current/sql-syntax-lexical.html
 */

/** A part of a statement. A word is a key word or a name without quotes. */
export interface SqlToken {
  readonly kind: 'space' | 'literal' | 'parameter' | 'quoted' | 'word' | 'sign'
  readonly text: string
}

// Each alternative ends with the text as well: a statement may have been cut.
const pattern = new RegExp(
  [
    String.raw`(?<literal>[eE]'(?:[^'\\]|''|\\[^])*(?:'|\\?$)|(?:[bBnNxX]|[uU]&)?'(?:[^']|'')*(?:'|$)|\$(?<tag>(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[^]*?(?:\$\k<tag>\$|$)|` +
      String.raw`0[xXoObB][\da-fA-F_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)`,
    String.raw`(?<parameter>\$\d+)`,
    String.raw`(?<quoted>"(?:[^"]|"")*(?:"|$))`,
    String.raw`(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`,
    String.raw`(?<sign>[^])`,
  ].join('|'),
  'y',
)

const kinds = ['literal', 'parameter', 'quoted', 'word', 'sign'] as const

const blank = /(?:\s|--[^\n]*)+/y
const commentMark = /\/\*|\*\//g

/** Where the blanks and comments end that begin at `start`. Comments nest. */
function endOfSpace(text: string, start: number): number {
  let at = start
  for (;;) {
    blank.lastIndex = at
    at += blank.exec(text)?.[0].length ?? 0
    if (!text.startsWith('/*', at)) return at
    commentMark.lastIndex = at
    let depth = 0
    do {
      const mark = commentMark.exec(text)
      if (!mark) return text.length
      depth += mark[0] === '/*' ? 1 : -1
    } while (depth > 0)
    at = commentMark.lastIndex
  }
}

/** Takes a statement apart; the tokens together are its text. */
export function sqlTokens(text: string): SqlToken[] {
  const tokens: SqlToken[] = []
  for (let at = 0; at < text.length;) {
    const end = endOfSpace(text, at)
    if (end > at) tokens.push({ kind: 'space', text: text.slice(at, end) })
    pattern.lastIndex = end
    const match = pattern.exec(text)
    if (match) tokens.push({ kind: kinds.find((each) => match.groups?.[each] !== undefined) ?? 'sign', text: match[0] })
    at = end + (match?.[0].length ?? 0)
  }
  return tokens
}
