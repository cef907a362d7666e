/**
 * A statement as a postgres.js connection reads it. postgres.js's own `Query` is one too, but also a promise of a class
 * of its own, with more promises on the way to its answer: together they cost a point read a fifth of its time, and keep
 * every answer from being collected young. The fields are those of postgres.js 3.4, `src/query.js` and
 * `src/connection.js`.
 */
import type postgres from 'postgres'
import type { Step } from './batch.ts'
import type { RowSink } from './server-messages.ts'

/** Takes the answer, or the failure. */
export type Settle = (outcome: unknown) => void

/** How postgres.js sends it; `simple` is a script of several statements. */
export interface DriverOptions {
  readonly simple: boolean
  readonly prepare: boolean
}

/** Gives a statement to the one connection of a client. */
export type Dispatch = (statement: DriverStatement) => void

/** What the driver is to send. */
export interface DriverRequest {
  readonly text: string
  readonly parameters: readonly unknown[]
  readonly driverOptions: DriverOptions
  /** `arrays`: rows as arrays of values in column order. */
  readonly options: { readonly arrays?: boolean | undefined; readonly rows?: RowSink | undefined }
}

export class DriverStatement {
  /** The text, where a template would have its parts. */
  readonly strings: readonly string[]
  readonly args: readonly unknown[]
  readonly options: DriverOptions
  readonly isRaw: 'values' | undefined
  readonly tagged = false
  /** Takes its rows, where the driver is not to. */
  readonly rows: RowSink | undefined
  /** Where it was called, for the driver's errors: of no use to our callers. */
  readonly origin = ''
  /** What travels in front of it, in its batch. */
  steps: readonly Step[] | undefined
  /** Of a statement that failed: which step was refused, and whether it failed before it was bound. */
  refusedStep: number | undefined
  neverRan = false
  /** It was prepared before it was sent. Known once it has failed. */
  reused = false
  // Written by the driver.
  active = false
  cancelled = null
  describeFirst = false
  parameters: readonly unknown[] | undefined
  prepare = false
  prepared = false
  signature: string | false = ''
  state: unknown = null
  statement: unknown = null
  string = ''
  readonly #answered: Settle
  readonly #failed: Settle

  constructor({ text, parameters, driverOptions, options }: DriverRequest, answered: Settle, failed: Settle) {
    this.strings = [text]
    this.args = parameters
    this.options = driverOptions
    this.isRaw = options.arrays ? 'values' : undefined
    this.rows = options.rows
    this.#answered = answered
    this.#failed = failed
  }

  /**
   * Read when the statement has failed, before the driver would send it again because its plan is outdated. It must
   * not: two at once would wait for ever. Our connection knows better.
   */
  get retried(): undefined {
    this.reused = this.prepared
    this.prepared = false
    return undefined
  }

  resolve(result: unknown): void {
    this.active = false
    this.#answered(result)
  }

  reject(error: unknown): void {
    this.active = false
    this.#failed(error)
  }
}

/** The way of a client's statements to its connection, which its queries carry with them. */
export function dispatchOf(client: postgres.Sql<Record<string, never>>): Dispatch {
  return (client.unsafe('') as unknown as { readonly handler: Dispatch }).handler
}
