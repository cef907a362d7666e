/**
 * A statement rendered once and run many times: its text and where each value goes. What varies between calls is a
 * parameter, never text, so a repository has few distinct statements; they are kept, up to a bound, the least recently
 * used going first. On each connection the server parses and plans them once (named statements).
 */
import { is, Placeholder, type SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors.ts'
import { maxParameters, type Result, type StatementOptions } from '../../pool/connection.ts'
import type { Drizzle, StatementRunner } from '../../drizzle/driver.ts'
import type { Ask } from '../../drizzle/plain-rows.ts'

/** Statements kept for one table of one engine. */
export const maxStatements = 200

/** Shapes this long are of statements too large to keep, such as an `or` of a thousand filters. */
const longestShape = 10_000

/** Where the value at `position` of a call's values goes, and the property it is for, if it is for one alone. */
export function slot(position: number, property?: string): Placeholder {
  const placeholder = sql.placeholder(String(position))
  slots.set(placeholder, property)
  return placeholder
}

/** Our own placeholders with their properties: the caller's SQL may hold others, and objects of any look. */
const slots = new WeakMap<object, string | undefined>()

/** Collects the values of one call, in the order of their slots. */
export class Values {
  readonly all: unknown[] = []

  /** Takes a value, of a property if it is one's, and answers the fragment that stands for it. */
  take(value: unknown, property?: string): () => SQL {
    if (this.all.length >= maxParameters) {
      throw new UsageError(
        `a statement takes at most ${maxParameters} values: give many values of one column as one list, { in: [...] }, or split the call`,
      )
    }
    const position = this.all.push(value) - 1
    return () => sql`${slot(position, property)}`
  }
}

/** In the name of a shape: the statement holds SQL of the caller's that may vary, so it is rendered every time. */
export const varying = '\0'

/** Fragments between commas. */
export function list(fragments: readonly SQL[]): SQL {
  return sql.join(fragments as SQL[], sql`, `)
}

export class CompiledStatement {
  readonly text: string
  /** The property that each parameter is for, where it is for one alone. */
  readonly names: readonly (string | undefined)[]
  readonly #fixed: readonly unknown[]
  readonly #slots: readonly number[] | undefined
  #options: StatementOptions
  readonly #drizzle: Drizzle
  /** Whether the answer may show types that only the database's catalog tells. */
  learns = false

  constructor(drizzle: Drizzle, fragment: SQL) {
    this.#drizzle = drizzle
    const { text, parameters } = drizzle.render(fragment)
    this.text = text
    this.#fixed = parameters
    const positions = parameters.map((parameter) => slotOf(parameter))
    this.#slots = positions.every((position, index) => position === index) ? undefined : positions
    this.names = parameters.map((parameter) => slots.get(Object(parameter) as object))
    this.#options = { arrays: true, prepare: parameters.length > 0, names: this.names }
  }

  /** The same statement, not to be prepared: the server frees none, and this one will hardly come again. */
  once(): this {
    this.#options = { ...this.#options, prepare: false }
    return this
  }

  /** Runs it with these values; rows come as arrays, in the order of its select list. */
  run(runner: StatementRunner, values: readonly unknown[]): Promise<Result<unknown[]>> {
    const learnt = this.learns ? (rows: Result) => this.learnt(rows, asking(runner)) : undefined
    return runner.run(this.text, this.parameters(values), this.#options, learnt) as Promise<Result<unknown[]>>
  }

  /** The same, answering what `read` makes of the rows: a promise fewer than waiting for them. */
  read<T>(runner: StatementRunner, values: readonly unknown[], read: (rows: Result<unknown[]>) => T): Promise<T> {
    if (this.learns) return this.run(runner, values).then(read)
    return runner.run(this.text, this.parameters(values), this.#options, read as (rows: Result) => T)
  }

  /** The answer, once it is known what types it shows. */
  learnt(rows: Result, ask: Ask): Result | Promise<Result> {
    return this.learns ? this.#drizzle.plainRows.learn(rows, ask) : rows
  }

  /** The values in the order of the statement's parameters. */
  parameters(values: readonly unknown[]): readonly unknown[] {
    if (this.#slots === undefined) return values
    return this.#slots.map((position, index) => (position === -1 ? this.#fixed[index] : values[position]))
  }
}

function asking(runner: StatementRunner): Ask {
  return (text, parameters, options, read) => runner.run(text, parameters, options, read)
}

/** The position of one of our slots; -1 for what is a value, also for objects that look like a slot. */
function slotOf(parameter: unknown): number {
  return is(parameter, Placeholder) && slots.has(parameter) ? Number(parameter.name) : -1
}

/** The statements of one table, by what they do and the shape of what they were asked. */
export class StatementCache {
  readonly #statements = new Map<string, CompiledStatement>()
  readonly #learn: boolean

  /** `learn` says that answers may show types that only the database's catalog tells. */
  constructor(learn = false) {
    this.#learn = learn
  }

  get size(): number {
    return this.#statements.size
  }

  /** The statement of a shape, rendered at its first use. */
  of(shape: string, create: () => CompiledStatement): CompiledStatement {
    if (shape.length > longestShape) return this.#made(create).once()
    if (shape.includes(varying)) return this.#made(create)
    const known = this.#statements.get(shape)
    if (known) {
      // Written anew, so that the first in the map is the least recently used; not needed while there is room.
      if (this.#statements.size >= maxStatements) {
        this.#statements.delete(shape)
        this.#statements.set(shape, known)
      }
      return known
    }
    const statement = this.#made(create)
    if (this.#statements.size >= maxStatements) {
      const [oldest] = this.#statements.keys()
      if (oldest !== undefined) this.#statements.delete(oldest)
    }
    this.#statements.set(shape, statement)
    return statement
  }

  #made(create: () => CompiledStatement): CompiledStatement {
    const statement = create()
    statement.learns = this.#learn
    return statement
  }
}
