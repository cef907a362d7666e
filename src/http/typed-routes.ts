/**
 * The routes of resources as types, for Hono's client: `hc<typeof app>(url).customers.$get({ query: { limit: '5' } })`.
 * What travels is typed from the tables: an answer has the row as JSON, a body takes what the row may be written from.
 */
import type { KeyNames } from '../repository/types/table-types.ts'
import type { Resource } from '../resource/resource.ts'
import type { NewRowJson, PatchJson, RowJson } from '../resource/row-json.ts'

/** The routes of resources, by path and method. `RoutesOf<Resource<typeof words, 'words', true>>` has `/words/:key`. */
export type RoutesOf<TResource extends Resource> = ListRoutes<TResource> & RowRoutes<TResource>

/** The route of each resource's list. */
export type ListRoutes<TResource extends Resource> = {
  [R in TResource as `/${R['path']}`]: Route<'$get', { query?: RouteQuery }, ResourcePage<RowOf<R>>> & Adds<R>
}

/** The route of each resource's rows, where it has a key. */
export type RowRoutes<TResource extends Resource> = {
  [R in TResource as [KeyNames<R['source']>] extends [never] ? never : `/${R['path']}/:key`]: Route<
    '$get',
    { param: { key: string }; query?: RouteQuery },
    RowOf<R>
  > &
    WriteRoutes<R>
}

/** POST, where the resource is writable. */
export type Adds<R extends Resource> = R['writes'] extends true
  ? Route<'$post', { json: NewRowOf<R> }, RowOf<R>, 201>
  : unknown

/** PATCH, PUT and DELETE, where the resource is writable. */
export type WriteRoutes<R extends Resource> = R['writes'] extends true
  ? Route<'$patch', { param: { key: string }; json: PatchOf<R> }, RowOf<R>> &
      Route<'$put', { param: { key: string }; json: NewRowOf<R> }, RowOf<R>, 200 | 201> & {
        $delete: { input: { param: { key: string } }; output: null; outputFormat: 'body'; status: 204 }
      }
  : unknown

/** The columns that a resource hides. */
export type Hidden<R extends Resource> = NonNullable<R['options']['hidden']>[number]
/** The columns that a request may not write. */
export type Kept<R extends Resource> = Hidden<R> | NonNullable<R['options']['fixed']>[number]
/** A row, as JSON. */
export type RowOf<R extends Resource> = RowJson<R['source'], Hidden<R>>
/** A row that a request adds, as JSON. */
export type NewRowOf<R extends Resource> = NewRowJson<R['source'], Kept<R>>
/** The columns that a request changes, as JSON. */
export type PatchOf<R extends Resource> = PatchJson<R['source'], Kept<R>>

/** `POST /gather`, of an application that has resources. */
export type GatherRoute = {
  '/gather': Route<'$post', { json: GatherBody }, Record<string, GatheredRead>>
}

/** What is asked of `POST /gather`. */
export interface GatherBody {
  /** Paths of resources, by the names of the answer. */
  queries: Record<string, string>
  /** True: all reads see one instant of the database. */
  snapshot?: boolean
  /** Connections to use at once, at most. Default: one a read. */
  concurrency?: number
}

/** What one read of a gather came to. */
export interface GatheredRead {
  status: number
  /** Of what was read, as GET would say. */
  etag?: string
  /** What GET answers: a page, a row, or a problem document. */
  body: unknown
}

/** What Hono's client reads of a route. */
export type Route<TMethod extends string, TInput, TOutput, TStatus = 200> = {
  [K in TMethod]: { input: TInput; output: TOutput; outputFormat: 'json'; status: TStatus }
}

/** The query string of a route. */
export type RouteQuery = Readonly<Record<string, string>>

/** A page of a list. */
export interface ResourcePage<TRow> {
  data: TRow[]
  next: string | null
  previous: string | null
  count?: number
}
