/**
 * Several statements in one text, as `db.execute` takes them where no value is bound. They are sent one by one, by the
 * protocol that takes no more than one statement: what a session refuses, such as COMMIT, is refused in a script too, and
 * a text that is taken apart wrongly here is refused by the server. Done while the caller waits, so that statements keep
 * their order. https://www.postgresql.org/docs/current/sql-syntax-lexical.html
 */

import type { Query } from 'drizzle-orm'
import { PgPreparedQuery, type PreparedQueryConfig } from 'drizzle-orm/pg-core'

interface TransactionRunner<TSelf> {
  transaction<T>(unitOfWork: (nested: TSelf) => Promise<T>): Promise<T>
}

/** The statements of a text as one query of Drizzle's: all of them are done or none, and each has an answer. */
export class ScriptQuery<
  T extends PreparedQueryConfig,
  TRunner extends TransactionRunner<TRunner>,
> extends PgPreparedQuery<T> {
  readonly #runner: TRunner
  readonly #statements: readonly string[]
  readonly #run: (runner: TRunner, statement: string) => Promise<unknown>

  constructor(
    query: Query,
    runner: TRunner,
    statements: readonly string[],
    run: (runner: TRunner, statement: string) => Promise<unknown>,
  ) {
    super(query, undefined, undefined)
    this.#runner = runner
    this.#statements = statements
    this.#run = run
  }

  override execute(): Promise<T['execute']> {
    return this.#runner.transaction(async (nested) => {
      const answers: unknown[] = []
      for (const statement of this.#statements) answers.push(await this.#run(nested, statement))
      return answers
    })
  }
}

/** What may hold a semicolon that ends nothing, and what says whether one does; of other text nothing matters. */
const tokens =
  /e'(?:[^'\\]+|\\[^])*'|'[^']*'|"[^"]*"|(\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)[^]*?\1|--[^\n]*|\/\*|[\w\u0080-\uffff][\w$\u0080-\uffff]*|[();]/gi

/** The statements of a text, without what is between them. */
export function statementsOf(text: string): readonly string[] {
  if (!text.includes(';')) return [text]
  const statements: string[] = []
  let start = 0
  let isEmpty = true
  const end = (at: number) => {
    if (!isEmpty) statements.push(text.slice(start, at))
    isEmpty = true
  }
  // Semicolons in parentheses are of a rule, those of BEGIN ATOMIC … END of a function's body, where CASE has an END too.
  let parentheses = 0
  let blocks = 0
  let before = ''
  const matcher = new RegExp(tokens)
  for (let match = matcher.exec(text); match; match = matcher.exec(text)) {
    const token = match[0].toLowerCase()
    if (token.startsWith('--')) continue
    if (token === '/*') {
      matcher.lastIndex = afterComment(text, matcher.lastIndex)
      continue
    }
    if (token === ';' && parentheses === 0 && blocks === 0) {
      end(match.index)
      start = matcher.lastIndex
      continue
    }
    isEmpty = false
    if (token === '(') parentheses += 1
    else if (token === ')') parentheses = Math.max(0, parentheses - 1)
    else if (token === 'atomic' && before === 'begin') blocks = 1
    else if (token === 'case' && blocks > 0) blocks += 1
    else if (token === 'end' && blocks > 0) blocks -= 1
    before = token
  }
  end(text.length)
  return statements
}

/** Comments nest. */
function afterComment(text: string, start: number): number {
  const marks = /\/\*|\*\//g
  marks.lastIndex = start
  let depth = 1
  for (let match = marks.exec(text); match; match = marks.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return marks.lastIndex
  }
  return text.length
}
