/**
 * Decides whether a statement may have changed its server session, so that nothing leaks into the next one.
 *
 * The rule: a connection goes back to the pool when its session only queried and changed rows (SELECT, INSERT, UPDATE,
 * DELETE, MERGE, EXPLAIN, SHOW, LOCK, SET LOCAL) and called none of the functions that outlive a statement. After
 * anything else (SET, LISTEN, temporary tables, DO, CALL, DDL, …) the connection is closed and replaced. So the cost
 * falls on sessions that changed something. A name or string in Unicode escapes may spell anything. What a function of the
 * user's does inside a SELECT cannot be seen in its text; settings that the server reports are compared as well.
 */
import { UsageError } from '../errors.ts'
import { noticeLastValue } from './last-values.ts'

const rowCommands = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'MERGE', 'EXPLAIN', 'SHOW', 'LOCK TABLE'])

/** Functions with an effect on the session, settings changed through their view, and temporary tables by SELECT. */
const lastingEffect =
  /\bset_config\b|\bu&["']|\bpg_(?:try_)?advisory_(?:un)?lock(?:_shared|_all)?\b|\bsetseed\b|\bset_limit\b|\bpg_(?:backup_start|start_backup)\b|\bdblink_connect|\b(?:into|create)\b(?:\s|\/\*.*?\*\/|--[^\n]*\n)+(?:(?:local|global)(?:\s|\/\*.*?\*\/|--[^\n]*\n)+)?temp|\bpg_temp|\bupdate\s+(?:only\s+)?(?:pg_catalog\s*\.\s*)?pg_settings\b/i

/** set_config(name, value, true) ends with its transaction; only plain literals and parameters are read for it. */
const localSetting = /\bset_config\s*\(\s*(?:'[^']*'|\$\d+)\s*,\s*(?:'[^']*'|\$\d+)\s*,\s*true\s*\)/gi

const localSet = /^set\s+(?:local|transaction|constraints)\b/i

const transactionControl =
  /^(?:begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction)\b/i

const clientCopy = /^copy\b[^]*\b(?:stdin|stdout)\b/i

/** What a statement's text tells about it. */
export interface StatementTraits {
  /** BEGIN, COMMIT and their kin, which belong to `session.transaction`. */
  readonly controlsTransaction: boolean
  /** A row command that calls something with an effect on the session. */
  readonly lastingEffect: boolean
  /** SET whose effect ends with the transaction. */
  readonly localSet: boolean
  /** What the statement is, as far as it matters for running it again after it has failed as a whole. */
  readonly kind: 'read' | 'write' | 'code' | 'other'
  /** The search path may be another one afterwards. */
  readonly setsSearchPath: boolean
  /** The task sees to the time limit of its statements itself. */
  readonly limitsStatements: boolean
  /** COPY from or to the client, which answers with a stream instead of rows. */
  readonly clientCopy: boolean
}

/** Traits by text: programs send the same few texts over and over. Emptied when it has grown too large. */
const known = new Map<string, StatementTraits>()
const mostKnown = 5000

/** Why a session does not take a statement; undefined when it does. */
export function refusedStatement(text: string): UsageError | undefined {
  const { controlsTransaction, clientCopy } = statementTraits(text)
  if (controlsTransaction) {
    return new UsageError('BEGIN, COMMIT, ROLLBACK and SAVEPOINT belong to session.transaction(unitOfWork): use that')
  }
  if (clientCopy) {
    return new UsageError('COPY from stdin or to stdout is not for sessions: use insertMany, stream, or psql')
  }
  return undefined
}

/** Reads the traits off a statement's text. */
export function statementTraits(text: string): StatementTraits {
  let traits = known.get(text)
  if (traits === undefined) {
    const start = text.slice(firstWord(text))
    traits = {
      controlsTransaction: transactionControl.test(start),
      lastingEffect: lastingEffect.test(text) && lastingEffect.test(text.replaceAll(localSetting, '')),
      localSet: localSet.test(start),
      kind: statementKindOf(start),
      setsSearchPath: /\bsearch_path\b/i.test(text),
      limitsStatements: /\bstatement_timeout\b/i.test(text),
      clientCopy: clientCopy.test(start),
    }
    noticeLastValue(text)
    if (known.size >= mostKnown) known.clear()
    known.set(text, traits)
  }
  return traits
}

/** CALL and DO run code that may commit on its own: what it has done is not undone when it fails. */
function statementKindOf(start: string): StatementTraits['kind'] {
  if (/^(?:select|table|values)\b/i.test(start)) return 'read'
  if (/^(?:insert|update|delete|merge|with)\b/i.test(start)) return 'write'
  return /^(?:call|do)\b/i.test(start) ? 'code' : 'other'
}

/** Where the first word stands: behind white space, empty statements and comments, which nest in PostgreSQL. */
function firstWord(text: string): number {
  let at = 0
  for (;;) {
    while (at < text.length && (text[at] === ';' || /\s/.test(text[at] ?? ''))) at += 1
    if (text.startsWith('--', at)) {
      const end = text.indexOf('\n', at)
      at = end < 0 ? text.length : end + 1
    } else if (text.startsWith('/*', at)) at = afterComment(text, at)
    else return at
  }
}

function afterComment(text: string, start: number): number {
  let depth = 0
  for (let at = start; at < text.length; at += 1) {
    if (text.startsWith('/*', at)) depth += 1
    else if (text.startsWith('*/', at)) depth -= 1
    else continue
    at += 1
    if (depth === 0) return at + 1
  }
  return text.length
}

/** True when the session may differ afterwards from what it was; `command` is the answer's command tag. */
export function changesSession(command: string, traits: StatementTraits): boolean {
  if (rowCommands.has(command)) return traits.lastingEffect
  return !(traits.localSet && command.startsWith('SET'))
}
