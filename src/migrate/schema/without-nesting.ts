/**
 * Removes parentheses without a meaning from definitions that PostgreSQL prints: it turns `((a AND b) AND c)` into `(a
 * AND b AND c)` when it reads it again, so a database and its copy would never be equal. PostgreSQL nests such lists
 * for BETWEEN, and in expressions that it has simplified.
 */

type Piece = string | Group

interface Group {
  readonly pieces: Piece[]
  /** AND or OR when it is a list of operands. */
  connective?: string
}

/** Whole texts, names and function bodies; parentheses; connectives; and everything between them. */
const token =
  /\bE'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$)[^]*?\1|[()]|\b(?:AND|OR)\b|[\w$]+|[^]/gu

/** The definition with every AND in an AND, and OR in an OR, made one list. */
export function withoutNesting(definition: string): string {
  if (!/\((?=.*\b(?:AND|OR)\b)/s.test(definition)) return definition
  const open: Group[] = [{ pieces: [] }]
  for (const [part] of definition.matchAll(token)) {
    const group = open.at(-1)!
    if (part === '(') open.push({ pieces: [] })
    else if (part === ')' && open.length > 1) open.at(-2)!.pieces.push(open.pop()!)
    else {
      if (part === 'AND' || part === 'OR') group.connective ??= part
      group.pieces.push(part)
    }
  }
  // Text with an unclosed parenthesis is not an expression.
  return open.length > 1 ? definition : open[0]!.pieces.map(printed).join('')
}

function printed(piece: Piece): string {
  return typeof piece === 'string' ? piece : `(${inside(piece)})`
}

function inside({ pieces, connective }: Group): string {
  const ends = (neighbour: Piece | undefined) => neighbour === undefined || neighbour === connective
  const beside = (index: number, step: 1 | -1): Piece | undefined => {
    let at = index + step
    while (typeof pieces[at] === 'string' && (pieces[at] as string).trim() === '') at += step
    return pieces[at]
  }
  return pieces
    .map((piece, index) => {
      const isOperand = typeof piece !== 'string' && ends(beside(index, -1)) && ends(beside(index, 1))
      const same = isOperand && connective !== undefined && piece.connective === connective
      return same ? inside(piece) : printed(piece)
    })
    .join('')
}
