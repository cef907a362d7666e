/**
 * The types that other types of `rivulet/http` are made of, exported for declarations to name. Nobody needs them to write
 * a program, and they may change with any version. They are `rivulet/http/types`, for the reason that `rivulet/types` is one.
 */
export type {
  Columns,
  ConventionsOf,
  Inserted,
  KeyNames,
  Managed,
  Plain,
  PrimaryNames,
  Readable,
  TypeOf,
  Uncomparable,
} from '../repository/types/table-types.ts'
export type { PathOf } from '../resource/resource.ts'
export type { ColumnValue, JsonFields, JsonOptions, NewPairs, RowPairs, Sent } from '../resource/row-json.ts'
export type {
  RoutesOf,
  GatherRoute,
  ListRoutes,
  RowRoutes,
  Adds,
  WriteRoutes,
  Hidden,
  Kept,
  RowOf,
  NewRowOf,
  PatchOf,
  Route,
  RouteQuery,
} from './typed-routes.ts'
