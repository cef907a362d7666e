/**
 * What a statement does and on which tables, in a few words: `select orders customers`. It is a name for spans and a group
 * for metrics, so it holds what few texts differ in. Operations and tables stand in the order of the text and as they are
 * written there, as the conventions have it, without the quotes that Drizzle puts around every name.
 * https://opentelemetry.io/docs/specs/semconv/db/database-spans/#generating-a-summary-of-the-query
 */
import { type SqlToken, sqlTokens } from './sql-tokens.ts'

/** What is told of a statement's text. */
export interface QuerySummary {
  /** Undefined for what is no statement that we know. */
  readonly summary: string | undefined
  /** Its operation, where it has one only. */
  readonly operation: string | undefined
  /** Its table, where it has one only. */
  readonly collection: string | undefined
  /** The text with `?` for every literal; cut when it is long. */
  readonly text: string
}

/** Characters that are looked at and told. */
const longestText = 4096
const longestSummary = 255

/** Commands that a statement may begin with; those that change rows or read them may stand further inside as well. */
const commands = new Set(
  (
    'alter analyze call checkpoint close cluster comment copy create deallocate declare delete discard do drop execute ' +
    'explain fetch grant import insert listen lock merge move notify prepare reassign refresh reindex reset revoke ' +
    'select set show table truncate unlisten update vacuum values'
  ).split(' '),
)
const changing = new Set(['insert', 'update', 'delete', 'merge'])
/** What CREATE and its like are about. */
const objects = new Set(
  'database extension function index materialized policy role schema sequence table trigger type user view'.split(' '),
)
/** What a name of a table follows. */
const introducing = new Set(['from', 'into', 'join', 'table', 'truncate', 'update', 'using', 'view', 'call', 'lock'])
/** What may stand between. */
const passed = new Set(
  'concurrently exists if lateral not only recursive table temp temporary unlogged materialized'.split(' '),
)
/** What ends the list of tables of a FROM. */
const ending = new Set(
  'fetch for group having limit offset order returning select set union values where window with'.split(' '),
)

/** Texts that have been read: programs send the same few over and over. Emptied when it has grown too large. */
const known = new Map<string, QuerySummary>()
const mostKnown = 1000

/** Reads a statement's text. */
export function querySummary(text: string): QuerySummary {
  let summary = known.get(text)
  if (summary === undefined) {
    summary = summaryOf(text)
    if (known.size >= mostKnown) known.clear()
    // One that is long may well be another each time.
    if (text.length <= longestText) known.set(text, summary)
  }
  return summary
}

function summaryOf(text: string): QuerySummary {
  const isCut = text.length > longestText
  const all = sqlTokens(text.slice(0, longestText))
  const { operations, tables, parts } = new Reading(all.filter(({ kind }) => kind !== 'space')).read()
  const sanitized = all.map(({ kind, text: part }) =>
    kind === 'literal' ? '?' : kind === 'space' && /--|\/\*/.test(part) ? ' ' : part,
  )
  return {
    summary: joined(parts),
    operation: only(operations),
    collection: new Set(operations).size === 1 ? only(tables) : undefined,
    text: sanitized.join('').trim() + (isCut ? '…' : ''),
  }
}

/** A pair of parentheses, or the whole statement. */
interface Parentheses {
  /** It is a statement, whose FROM names tables. */
  statement: boolean
  /** Tables are listed: one may follow a comma. */
  lists: boolean
}

class Reading {
  readonly operations: string[] = []
  readonly tables: string[] = []
  /** Both, in order. */
  readonly parts: string[] = []
  readonly #tokens: readonly SqlToken[]
  readonly #named: ReadonlySet<string>
  readonly #outer: Parentheses[] = []
  #inside: Parentheses = { statement: true, lists: false }
  /** What may be named next: a table, or in its place a call of a function; or what may be followed by its columns. */
  #expected: 'table' | 'columns' | undefined
  #at = 0

  constructor(tokens: readonly SqlToken[]) {
    this.#tokens = tokens
    this.#named = commonTables(tokens)
  }

  read(): this {
    for (; this.#at < this.#tokens.length; this.#at += 1) {
      const token = this.#tokens[this.#at]
      if (token?.kind === 'sign') this.#sign(token.text)
      else if (token?.kind === 'word' && this.#keyWord(this.#word(0))) continue
      else if (this.#expected) this.#table()
    }
    return this
  }

  /** The key word at a distance from here, in lower case; empty for what is none. */
  #word(distance: number): string {
    const token = this.#tokens[this.#at + distance]
    return token?.kind === 'word' || token?.kind === 'sign' ? token.text.toLowerCase() : ''
  }

  #sign(text: string): void {
    if (text === '(') {
      this.#outer.push(this.#inside)
      this.#inside = { statement: false, lists: this.#expected !== undefined }
    } else if (text === ')') {
      this.#inside = this.#outer.pop() ?? this.#inside
      this.#expected = undefined
    } else if (text === ',') this.#expected = this.#inside.lists ? 'table' : undefined
    else if (text === ';') this.#inside = { statement: true, lists: false }
  }

  /** True for a word that means something here; others may be names. */
  #keyWord(word: string): boolean {
    if (this.#word(-1) === '.') return false
    const begins = this.#at === 0 || [';', '(', ')'].includes(this.#word(-1))
    if (word === 'select' || (changing.has(word) && begins) || (this.#at === 0 && commands.has(word))) {
      this.#operation(word)
      return true
    }
    if (ending.has(word)) {
      this.#inside.lists = false
      this.#expected = undefined
      return true
    }
    if (this.#expected && passed.has(word)) return true
    return this.#introduces(word)
  }

  #operation(word: string): void {
    const object = ['create', 'alter', 'drop'].includes(word) && objects.has(this.#word(1)) ? 1 : 0
    const name = this.#tokens.slice(this.#at, this.#at + object + 1).map(({ text }) => text)
    this.operations.push(name.join(' '))
    this.parts.push(name.join(' '))
    this.#inside.statement = true
    this.#inside.lists = false
    this.#expected = introducing.has(this.#word(object)) ? 'columns' : undefined
    this.#at += object
  }

  #introduces(word: string): boolean {
    if (!introducing.has(word)) return false
    if (word === 'from') {
      const compares = this.#word(-1) === 'distinct' && ['is', 'not'].includes(this.#word(-2))
      if (compares || !this.#inside.statement) return true
      this.#inside.lists = true
    } else if (word === 'using' && this.#word(1) === '(') return true
    else if (!['into', 'join', 'using'].includes(word)) return false
    this.#expected = word === 'into' ? 'columns' : 'table'
    return true
  }

  /** Takes a name with its schema, unless it is that of a function or of a query in WITH. */
  #table(): void {
    const mayBeCalled = this.#expected === 'table'
    this.#expected = undefined
    const parts: string[] = []
    for (;;) {
      const token = this.#tokens[this.#at]
      if (token?.kind !== 'word' && token?.kind !== 'quoted') return
      parts.push(unquoted(token.text))
      if (this.#word(1) !== '.') break
      this.#at += 2
    }
    const name = parts.join('.')
    if ((mayBeCalled && this.#word(1) === '(') || this.#named.has(name)) return
    this.parts.push(name)
    this.tables.push(name)
  }
}

/** The names that a WITH gives to its queries. */
function commonTables(tokens: readonly SqlToken[]): ReadonlySet<string> {
  const names = new Set<string>()
  const lower = tokens.map(({ text }) => text.toLowerCase())
  if (!lower.includes('with')) return names
  for (let at = lower.indexOf('as'); at > 0; at = lower.indexOf('as', at + 1)) {
    const behind = lower.slice(at + 1, at + 4).find((word) => word !== 'not' && word !== 'materialized')
    if (behind !== '(') continue
    // In front of AS: the name, or its list of columns.
    const name = tokens[lower[at - 1] === ')' ? lower.lastIndexOf('(', at) - 1 : at - 1]
    if (name) names.add(unquoted(name.text))
  }
  return names
}

/** A name as it would be written without quotes, if it could be. */
function unquoted(name: string): string {
  return /^"[a-z_][a-z0-9_$]*"$/.test(name) ? name.slice(1, -1) : name
}

function only(values: readonly string[]): string | undefined {
  return new Set(values).size === 1 ? values[0] : undefined
}

/** The parts that there is room for, none of them cut. */
function joined(parts: readonly string[]): string | undefined {
  let text = ''
  for (const part of parts) {
    const longer = text === '' ? part : `${text} ${part}`
    if (longer.length > longestSummary) break
    text = longer
  }
  return text === '' ? undefined : text
}
