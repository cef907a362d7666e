/**
 * What the server would do, or did, for a statement: a tree of nodes, each with what it expects and, once it has run,
 * what it found. It is what EXPLAIN answers, in words and units of ours.
 * https://www.postgresql.org/docs/current/using-explain.html
 */

/** How the server runs one statement. */
export interface QueryPlan {
  /** The statement, with `$1`, `$2`, … for its parameters. */
  readonly statement: string
  /** True when it was planned without the values of its parameters, as the server does for what it has run often. */
  readonly generic: boolean
  /** The last node, whose rows are the answer; those that feed it are below it. */
  readonly root: PlanNode
  /** Milliseconds it took to plan; only with `analyze`. */
  readonly planningMs: number | undefined
  /** Milliseconds it took to run, triggers included; only with `analyze`. */
  readonly executionMs: number | undefined
  /** All that looks wrong, in the order of the tree; what is wrong with the statement as a whole comes last. */
  readonly warnings: readonly PlanWarning[]
  /** The tree for people, a node a line, with the warnings below it. */
  readonly text: string
}

/** One node of a plan. */
export interface PlanNode {
  /** As PostgreSQL names it: `Seq Scan`, `Index Scan`, `Nested Loop`, … */
  readonly kind: string
  /** The table that it reads or writes, with its schema. */
  readonly table: string | undefined
  /** The index that it reads. */
  readonly index: string | undefined
  /** Rows that the planner expects of each run of the node. */
  readonly expectedRows: number
  /** The planner's cost up to the last row, in its own unit: about one page read in order. */
  readonly cost: number
  /** What happened; undefined without `analyze`, and for a node that never ran. */
  readonly actual: PlanActual | undefined
  /** Pages of 8 kB that the node and those below it used; only with `buffers`. */
  readonly buffers: PlanBuffers | undefined
  /** All else that the server says of the node, under PostgreSQL's names: `Filter`, `Index Cond`, `Sort Key`, … */
  readonly details: Readonly<Record<string, unknown>>
  /** What looks wrong with this node. */
  readonly warnings: readonly PlanWarning[]
  /** The nodes whose rows it takes. */
  readonly children: readonly PlanNode[]
}

/** What a node did. */
export interface PlanActual {
  /** Rows that it gave, of all its runs together. */
  readonly rows: number
  /** How often it ran; each of several workers counts. */
  readonly loops: number
  /** Milliseconds of the node and those below it, of all its runs together; of several workers at once, their mean. */
  readonly totalMs: number
  /** Milliseconds of the node alone. */
  readonly selfMs: number
}

/** Pages of 8 kB. */
export interface PlanBuffers {
  /** Found in the server's memory. */
  readonly hit: number
  /** Read from the system, its cache or its disk. */
  readonly read: number
  /** Changed. */
  readonly dirtied: number
  /** Written to files of its own, because `work_mem` was too small. */
  readonly spilled: number
}

/** What a warning is about; fit for the label of a metric. */
export type PlanWarningCode =
  | 'sequential_scan'
  | 'repeated_scan'
  | 'rows_discarded'
  | 'sort_spilled'
  | 'hash_spilled'
  | 'bitmap_lossy'
  | 'heap_fetches'
  | 'wrong_estimate'
  | 'slow_trigger'

/** Something that looks wrong in a plan. */
export interface PlanWarning {
  /** What it is about. */
  readonly code: PlanWarningCode
  /** What it is, with its figures, and what would mend it. */
  readonly message: string
}
