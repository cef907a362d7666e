/**
 * Decides whether a statement may have changed its server session, so that nothing leaks into the next one.
 *
 * The rule: a connection goes back to the pool when its session only queried and changed rows (SELECT, INSERT, UPDATE,
 * DELETE, MERGE, EXPLAIN, SHOW, LOCK, SET LOCAL) and called none of the functions that outlive a statement. After
 * anything else (SET, LISTEN, temporary tables, DO, CALL, DDL, …) the connection is closed and replaced. So the cost
 * falls on sessions that changed something. What a function of the user's does inside a SELECT cannot be seen from here.
 */

const rowCommands = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'MERGE', 'EXPLAIN', 'SHOW', 'LOCK TABLE'])

/** Functions with an effect on the session, and temporary tables that are answered with SELECT. */
const lastingEffect =
  /\bset_config\b|\bpg_(?:try_)?advisory_(?:un)?lock(?:_shared|_all)?\b|\bsetseed\b|\bdblink_connect|\b(?:into|create)\s+(?:(?:local|global)\s+)?temp/i

/** set_config(…, true) ends with its transaction. */
const localSetting = /\bset_config\s*\((?:[^()]|\([^()]*\))*,\s*true\s*\)/gi

const localSet = /^\s*set\s+(?:local|transaction|constraints)\b/i

const transactionControl =
  /^(?:\s|--[^\n]*\n|\/\*[^]*?\*\/)*(?:begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction)\b/i

/** What a statement's text tells about it. */
export interface StatementTraits {
  /** BEGIN, COMMIT and their kin, which belong to `session.transaction`. */
  readonly controlsTransaction: boolean
  /** A row command that calls something with an effect on the session. */
  readonly lastingEffect: boolean
  /** SET whose effect ends with the transaction. */
  readonly localSet: boolean
}

/** Traits by text: programs send the same few texts over and over. Emptied when it has grown too large. */
const known = new Map<string, StatementTraits>()
const mostKnown = 5000

/** Reads the traits off a statement's text. */
export function statementTraits(text: string): StatementTraits {
  let traits = known.get(text)
  if (traits === undefined) {
    traits = {
      controlsTransaction: transactionControl.test(text),
      lastingEffect: lastingEffect.test(text) && lastingEffect.test(text.replaceAll(localSetting, '')),
      localSet: localSet.test(text),
    }
    if (known.size >= mostKnown) known.clear()
    known.set(text, traits)
  }
  return traits
}

/** True when the session may differ afterwards from what it was; `command` is the answer's command tag. */
export function changesSession(command: string, traits: StatementTraits): boolean {
  if (rowCommands.has(command)) return traits.lastingEffect
  return !(traits.localSet && command.startsWith('SET'))
}
