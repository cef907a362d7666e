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
    String.raw`(?<space>(?:\s|--[^\n]*|/\*[^]*?(?:\*/|$))+)`,
    String.raw`(?<literal>[eE]'(?:[^'\\]|''|\\[^])*(?:'|\\?$)|(?:[bBnNxX]|[uU]&)?'(?:[^']|'')*(?:'|$)|\$(?<tag>(?:[A-Za-z_]\w*)?)\$[^]*?(?:\$\k<tag>\$|$)|` +
      String.raw`0[xXoObB][\da-fA-F_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)`,
    String.raw`(?<parameter>\$\d+)`,
    String.raw`(?<quoted>"(?:[^"]|"")*(?:"|$))`,
    String.raw`(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`,
    String.raw`(?<sign>[^])`,
  ].join('|'),
  'y',
)

const kinds = ['space', 'literal', 'parameter', 'quoted', 'word', 'sign'] as const

/** Takes a statement apart; the tokens together are its text. */
export function sqlTokens(text: string): SqlToken[] {
  const tokens: SqlToken[] = []
  pattern.lastIndex = 0
  for (let match = pattern.exec(text); match?.[0]; match = pattern.exec(text)) {
    const kind = kinds.find((each) => match?.groups?.[each] !== undefined) ?? 'sign'
    tokens.push({ kind, text: match[0] })
  }
  return tokens
}
