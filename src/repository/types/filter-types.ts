/** What a column may be compared with, by what kind of value it holds. `table-types.ts` picks one for each column. */

/** Is a column NULL? */
export interface NullFilter {
  readonly isNull?: boolean
}

/** Comparisons by value. `in: []` is true of no row. */
export interface EqualityFilter<TValue> extends NullFilter {
  readonly eq?: TValue
  readonly ne?: TValue
  readonly in?: readonly NonNullable<TValue>[]
  readonly notIn?: readonly NonNullable<TValue>[]
}

/** Comparisons of what has an order. */
export interface OrderFilter<TValue> extends EqualityFilter<TValue> {
  readonly gt?: NonNullable<TValue>
  readonly gte?: NonNullable<TValue>
  readonly lt?: NonNullable<TValue>
  readonly lte?: NonNullable<TValue>
}

/** Comparisons of text; `%` and `_` are wildcards in patterns, `\` takes their meaning away. */
export interface TextFilter<TValue> extends OrderFilter<TValue> {
  readonly like?: string
  readonly ilike?: string
}

/** Comparisons of arrays: has all of these elements, has one of these elements. */
export interface ArrayFilter<TValue> extends NullFilter {
  readonly eq?: TValue
  readonly ne?: TValue
  readonly contains?: NonNullable<TValue>
  readonly overlaps?: NonNullable<TValue>
}

/** Comparisons of jsonb: equal as JSON, has these properties or elements. */
export interface JsonbFilter<TValue> extends NullFilter {
  readonly eq?: TValue
  readonly ne?: TValue
  readonly contains?: unknown
}

/** Comparisons of a type of the user's own: those that its operators in PostgreSQL allow. */
export interface CustomFilter<TValue> extends TextFilter<TValue> {
  readonly contains?: NonNullable<TValue>
  readonly overlaps?: NonNullable<TValue>
}
