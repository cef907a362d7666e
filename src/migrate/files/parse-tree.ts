/**
 * Walks the parse trees of libpg-query without `any`: every node is `{ Kind: { field: value } }`, every list an array
 * of such nodes. https://github.com/pganalyze/libpg_query
 */

/** A node, or its contents. */
export type Tree = { readonly [field: string]: unknown }

/** The kind of a node: `CreateStmt` of `{ CreateStmt: {…} }`. */
export function nodeKind(tree: Tree | undefined): string {
  return Object.keys(tree ?? {})[0] ?? ''
}

/** The object at the end of `path`; undefined when a step is missing. */
export function child(tree: Tree | undefined, ...path: readonly string[]): Tree | undefined {
  let at: unknown = tree
  for (const step of path) at = typeof at === 'object' && at !== null ? (at as Tree)[step] : undefined
  return typeof at === 'object' && at !== null ? (at as Tree) : undefined
}

/** The list in field `field`; empty when there is none. */
export function children(tree: Tree | undefined, field: string): readonly Tree[] {
  const list = tree?.[field]
  return Array.isArray(list) ? (list as Tree[]) : []
}

/** `value` when it is text, else ''. */
export function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** A list of String nodes, as PostgreSQL keeps qualified names, joined with dots. */
export function dotted(names: readonly Tree[]): string {
  return names.map((name) => text(child(name, 'String')?.sval)).join('.')
}

/** Such a list without `public.`, so that both spellings of a name are equal. */
export function plainName(names: readonly Tree[]): string {
  return dotted(names).replace(/^public\./, '')
}

/** The table that a RangeVar names, `schema.table` or `table`; without `public.`, so that both spellings are equal. */
export function relationName(rangeVar: Tree | undefined): string {
  const schema = text(rangeVar?.schemaname)
  return schema === '' || schema === 'public' ? text(rangeVar?.relname) : `${schema}.${text(rangeVar?.relname)}`
}

/** Calls `visit` for every node under `tree`, itself included; `kind` is '' for plain lists and fields. */
export function walk(tree: unknown, visit: (kind: string, body: Tree) => void): void {
  if (Array.isArray(tree)) {
    for (const item of tree) walk(item, visit)
  } else if (typeof tree === 'object' && tree !== null) {
    for (const [key, value] of Object.entries(tree)) {
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) visit(key, value as Tree)
      walk(value, visit)
    }
  }
}

/** The names in a DROP statement. */
export function dropped(node: Tree): readonly string[] {
  return children(node, 'objects').map((object) => {
    const lists = [
      children(child(object, 'List'), 'items'),
      children(child(object, 'TypeName'), 'names'),
      children(child(object, 'ObjectWithArgs'), 'objname'),
    ]
    const names = lists.find((list) => list.length > 0) ?? []
    return (names.length > 0 ? dotted(names) : dotted([object])).replace(/^public\./, '')
  })
}
