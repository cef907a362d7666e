/**
 * A statement that is rendered once and run many times: its text, and the position of each value. What varies between
 * calls is a parameter, never text, so a repository has few distinct statements. They are cached up to a limit; the
 * least recently used goes first. On each connection the server parses and plans each of them once (named statements).
 */
import { is, Placeholder, type SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors.ts'
import { maxParameters, type Result, type StatementOptions } from '../../pool/connection.ts'
import type { Drizzle, StatementRunner } from '../../drizzle/driver.ts'
import type { Ask } from '../../drizzle/plain-rows.ts'

/** The most statements that are cached for one table of one engine. */
export const maxStatements = 200

/** Longer shapes belong to statements that are too large to cache, such as an `or` of a thousand filters. */
const longestShape = 10_000

/** The place of the value at `position` of a call's values, and the property it is for, if it is for only one. */
export function slot(position: number, property?: string): Placeholder {
  const placeholder = sql.placeholder(String(position))
  slots.set(placeholder, property)
  return placeholder
}

/**
 * The placeholders made here, with their properties; SQL of the caller's may have others, and objects that look like
 * them.
 */
const slots = new WeakMap<object, string | undefined>()

/** Collects the values of one call, in the order of their slots. */
export class Values {
  readonly all: unknown[] = []

  /** Takes a value, with its property if it has one, and returns the fragment that stands for it. */
  take(value: unknown, property?: string): () => SQL {
    if (this.all.length >= maxParameters) throw tooManyValues()
    const position = this.all.push(value) - 1
    return () => sql`${slot(position, property)}`
  }
}

/** The error for a statement with more values than the server takes. */
export function tooManyValues(): UsageError {
  return new UsageError(
    `a statement takes at most ${maxParameters} values: give many values of one column as one list, { in: [...] }, or split the call`,
  )
}

/** Part of the shape of a statement that has varying SQL of the caller's, and so is rendered every time. */
export const varying = '\0'

/** Joins fragments with commas. */
export function list(fragments: readonly SQL[]): SQL {
  return sql.join(fragments as SQL[], sql`, `)
}

export class CompiledStatement {
  readonly text: string
  /** The property that each parameter is for, if it is for only one. */
  readonly names: readonly (string | undefined)[]
  readonly #fixed: readonly unknown[]
  readonly #slots: readonly number[] | undefined
  #options: StatementOptions
  readonly #drizzle: Drizzle
  /** Whether the result may have types that only the database's catalog knows. */
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

  /**
   * The same statement without preparing it: the server frees no prepared statement, and this one will hardly run
   * again.
   */
  once(): this {
    this.#options = { ...this.#options, prepare: false }
    return this
  }

  /** Runs it with these values; rows come as arrays, in the order of its select list. */
  run(runner: StatementRunner, values: readonly unknown[]): Promise<Result<unknown[]>> {
    const learnt = this.learns ? (rows: Result) => this.learnt(rows, asking(runner)) : undefined
    return runner.run(this.text, this.parameters(values), this.#options, learnt) as Promise<Result<unknown[]>>
  }

  /** The same, but returns what `read` makes of the rows: one promise fewer than awaiting them. */
  read<T>(runner: StatementRunner, values: readonly unknown[], read: (rows: Result<unknown[]>) => T): Promise<T> {
    if (this.learns) return this.run(runner, values).then(read)
    return runner.run(this.text, this.parameters(values), this.#options, read as (rows: Result) => T)
  }

  /** The result, once its types are known. */
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

/** The position of a slot; -1 for a value, also for an object that looks like a slot. */
function slotOf(parameter: unknown): number {
  return is(parameter, Placeholder) && slots.has(parameter) ? Number(parameter.name) : -1
}

/** The statements of one table, by operation and shape. */
export class StatementCache {
  readonly #statements = new Map<string, CompiledStatement>()
  readonly #learn: boolean

  /** `learn`: results may have types that only the database's catalog knows. */
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
      // Moved to the end, so that the first in the map is the least recently used; not needed while there is room.
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
