/**
 * An SQL file, split into statements by PostgreSQL's own parser (libpg-query), with the line on which each begins.
 * Drizzle's `--> statement-breakpoint` splits first, as in Drizzle; a piece between two of them may have several
 * statements. Text that the parser does not know (of a newer server, or an extension) stays one piece and is sent as it
 * is.
 */
import type { Tree } from './parse-tree.ts'
import { child, children, nodeKind, text as textOf } from './parse-tree.ts'

/** One statement of a file. */
export interface Statement {
  /** The statement without the semicolon and without the comments before it. */
  readonly text: string
  /** Counted from 1. */
  readonly line: number
  /** The parse tree, `{ CreateStmt: {…} }`; undefined when PostgreSQL's parser refused the text. */
  readonly tree: Tree | undefined
  /** The parser's error and its line, if it refused the text. */
  readonly syntaxError: { readonly message: string; readonly line: number } | undefined
  /** Comments between the statement before and this one, and inside it. */
  readonly comments: readonly string[]
}

/** A file, parsed. */
export interface Script {
  readonly statements: readonly Statement[]
  /** False when a header comment or a statement such as CREATE INDEX CONCURRENTLY forbids one transaction. */
  readonly transactional: boolean
}

const breakpoint = '--> statement-breakpoint'

/** Put on a line of its own at the head of a file that must not run in one transaction. */
export const noTransactionComment = '-- rivulet:no-transaction'

/** Parses `source`. Loads the parser (some 30 ms) at the first call. */
export async function parseScript(source: string): Promise<Script> {
  const { parse, scan, SqlError } = await import('libpg-query')
  const statements: Statement[] = []
  let line = 1
  for (const piece of source.split(breakpoint)) {
    const text = piece.replace(/^\uFEFF/, '')
    try {
      const bytes = Buffer.from(text)
      const { stmts = [] } = (text.trim() === '' ? {} : await parse(text)) as { stmts?: ParsedStatement[] }
      const comments = text.includes('--') || text.includes('/*') ? await commentsOf(text, scan) : []
      // One pass over the bytes for any number of statements: data migrations have many thousands.
      let at = 0
      let lineAt = line
      let nextComment = 0
      for (const { stmt, stmt_location: start = 0, stmt_len: length } of stmts) {
        const end = length ? start + length : bytes.length
        const raw = bytes.subarray(start, end).toString()
        lineAt += lineBreaks(bytes.subarray(at, start).toString())
        at = start
        // A comment after the statement on its last line belongs to it.
        const until = end + (/^[ \t]*;?[ \t]*/.exec(bytes.subarray(end, end + 100).toString())?.[0].length ?? 0)
        const own: string[] = []
        for (let comment = comments[nextComment]; comment && comment.at <= until; comment = comments[nextComment]) {
          own.push(comment.text)
          nextComment += 1
        }
        statements.push({
          text: raw.trim(),
          line: lineAt + lineBreaks(/^\s*/.exec(raw)?.[0] ?? ''),
          tree: stmt,
          syntaxError: undefined,
          comments: own,
        })
      }
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      const before = lineBreaks(/^(?:\s|--.*)*/.exec(text)?.[0] ?? '')
      const at = error.sqlDetails?.cursorPosition ?? 0
      const syntaxError = { message: error.message, line: line + lineBreaks(text.slice(0, at)) }
      statements.push({ text: text.trim(), line: line + before, tree: undefined, syntaxError, comments: [] })
    }
    line += lineBreaks(piece)
  }
  const transactional = !hasHeader(source) && !statements.some(({ tree }) => tree && refusesTransaction(tree))
  return { statements, transactional }
}

/**
 * True when the whole file is comments, even one that spans breakpoints, which the parser would not take as a comment.
 */
export async function isOnlyComments(source: string): Promise<boolean> {
  const { scan, SqlError } = await import('libpg-query')
  try {
    const { tokens } = (await scan(source)) as { tokens: { tokenName: string }[] }
    return tokens.every(({ tokenName }) => tokenName === 'SQL_COMMENT' || tokenName === 'C_COMMENT')
  } catch (error) {
    if (error instanceof SqlError) return false
    throw error
  }
}

interface ParsedStatement {
  readonly stmt: Tree
  readonly stmt_location?: number
  readonly stmt_len?: number
}

type Scan = (text: string) => Promise<{ tokens: { start: number; text: string; tokenName: string }[] }>

async function commentsOf(text: string, scan: Scan): Promise<{ at: number; text: string }[]> {
  const { tokens } = await scan(text)
  return tokens
    .filter(({ tokenName }) => tokenName === 'SQL_COMMENT' || tokenName === 'C_COMMENT')
    .map(({ start, text }) => ({ at: start, text }))
}

/** True for statements that PostgreSQL refuses inside a transaction block. */
export function refusesTransaction(tree: Tree): boolean {
  const body = child(tree, nodeKind(tree)) ?? {}
  switch (nodeKind(tree)) {
    case 'IndexStmt':
    case 'DropStmt':
      return body.concurrent === true
    case 'ReindexStmt': {
      const wide = ['REINDEX_OBJECT_SCHEMA', 'REINDEX_OBJECT_SYSTEM', 'REINDEX_OBJECT_DATABASE']
      return wide.includes(textOf(body.kind)) || options(body, 'params').includes('concurrently')
    }
    case 'VacuumStmt':
      return body.is_vacuumcmd === true
    case 'ClusterStmt':
      return body.relation === undefined
    case 'AlterTableStmt':
      return children(body, 'cmds').some((command) => {
        const detach = child(child(command, 'AlterTableCmd'), 'def', 'PartitionCmd')
        return detach?.concurrent === true
      })
    case 'CreatedbStmt':
    case 'DropdbStmt':
    case 'AlterSystemStmt':
    case 'CreateTableSpaceStmt':
    case 'DropTableSpaceStmt':
    case 'CreateSubscriptionStmt':
    case 'DropSubscriptionStmt':
      return true
    default:
      return false
  }
}

/** True for BEGIN, COMMIT and ROLLBACK: in a file they would end the transaction that holds it together. */
export function controlsTransaction(tree: Tree): boolean {
  const kind = textOf(child(tree, 'TransactionStmt')?.kind)
  return kind !== '' && !/SAVEPOINT|RELEASE|ROLLBACK_TO/.test(kind)
}

/** Statements that commit together, or one that commits by itself: `from` to `to`, counted from 0, without `to`. */
export interface CommitGroup {
  readonly from: number
  readonly to: number
  readonly together: boolean
}

/**
 * Groups the statements of a script without a transaction: each runs by itself, unless the file has COMMIT to leave the
 * transaction in which Drizzle runs it. Then the statements before COMMIT are one group, and so are those after a
 * BEGIN.
 */
export function commitGroups(statements: readonly Statement[]): readonly CommitGroup[] {
  const words = statements.map(({ tree }) => (tree && controlsTransaction(tree) ? controlWord(tree) : ''))
  if (!words.includes('COMMIT')) return statements.map((_, index) => ({ from: index, to: index + 1, together: false }))
  const steps: CommitGroup[] = []
  let open: number | undefined = 0
  for (const [index, word] of words.entries()) {
    if (open === undefined) {
      if (word === 'BEGIN') open = index
      else steps.push({ from: index, to: index + 1, together: false })
    } else if (word === 'COMMIT') {
      steps.push({ from: open, to: index + 1, together: true })
      open = undefined
    }
  }
  if (open !== undefined) steps.push({ from: open, to: statements.length, together: true })
  return steps
}

/**
 * True when the file leaves Drizzle's transaction with COMMIT for a statement that cannot run in one, and has no other
 * transaction control than BEGIN and COMMIT in turn.
 */
export function leavesTransaction(statements: readonly Statement[]): boolean {
  let inside = true
  let left = false
  for (const { tree } of statements) {
    if (!tree) continue
    if (controlsTransaction(tree)) {
      if (controlWord(tree) !== (inside ? 'COMMIT' : 'BEGIN')) return false
      inside = !inside
    } else if (refusesTransaction(tree)) {
      if (inside) return false
      left = true
    }
  }
  return left
}

/** Returns BEGIN or COMMIT if it is plain; '' for any other. */
function controlWord(tree: Tree): string {
  const body = child(tree, 'TransactionStmt') ?? {}
  if (body.chain === true || body.options !== undefined) return ''
  const kind = textOf(body.kind)
  return kind === 'TRANS_STMT_START'
    ? 'BEGIN'
    : ['TRANS_STMT_BEGIN', 'TRANS_STMT_COMMIT'].includes(kind)
      ? kind.slice(11)
      : ''
}

function options(body: Tree, key: string): string[] {
  return children(body, key).map((option) => textOf(child(option, 'DefElem')?.defname))
}

/** The word after `rivulet:` in a comment, with any case and spaces; undefined in prose. */
function directive(comment: string): string | undefined {
  const [, space, word = ''] = /^(?:--|\/\*)\s*rivulet\s*:(\s*)([\w-]+)/i.exec(comment) ?? []
  const known = directives.includes(word.toLowerCase())
  return space === undefined || (space !== '' && !known) ? undefined : word.toLowerCase()
}

const directives = ['ignore', 'ignore-file', 'no-transaction']

/** What is wrong with a comment for Rivulet; undefined when nothing is. */
export function unknownDirective(comment: string, transactional: boolean): string | undefined {
  const word = directive(comment)
  if (word === undefined) return undefined
  if (!directives.includes(word)) return `unknown directive rivulet:${word}: there are ${directives.join(', ')}`
  return word === 'no-transaction' && transactional
    ? `${noTransactionComment} counts only on a line of its own above the first statement`
    : undefined
}

/** The header counts only above the first statement. */
function hasHeader(source: string): boolean {
  const head = /^(?:\s|--[^\n]*|\uFEFF)*/.exec(source)?.[0] ?? ''
  return head.split('\n').some((line) => directive(line.trim()) === 'no-transaction')
}

function lineBreaks(text: string): number {
  return text.split('\n').length - 1
}
