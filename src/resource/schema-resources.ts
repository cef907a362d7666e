/**
 * Every table and view of a schema as a resource. A table of `public` has its name as the path, with hyphens; one of another
 * schema has `SCHEMA.NAME`, so that a new schema takes no path of an old one. Where that is taken or no path at all, it is
 * `public.NAME`, else the name of its export. What cannot be published is left out, with the reason.
 */
import { getViewName, is, Table } from 'drizzle-orm'
import {
  getMaterializedViewConfig,
  getTableConfig,
  getViewConfig,
  PgMaterializedView,
  type PgTable,
  PgView,
} from 'drizzle-orm/pg-core'
import type { Drizzle } from '../drizzle/driver.ts'
import { UsageError } from '../errors.ts'
import { conventionsOf, isSource, type Source } from '../repository/types/conventions.ts'
import { isOwnPath, pathOfName, planResources, type Resource, resource } from './resource.ts'

/** What of a schema is published, and what is not. */
export interface SchemaResources {
  readonly resources: readonly Resource[]
  /** Names of tables and views, and why each cannot be a resource. */
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[]
}

/** Plans them for an engine. `keeps` is told each name, and says whether it is wanted at all. */
export function resourcesOfSchema(
  drizzle: Drizzle,
  schema: Readonly<Record<string, unknown>>,
  { readOnly = false, keeps = () => true }: { readonly readOnly?: boolean; readonly keeps?: (name: string) => boolean },
): SchemaResources {
  const leftOut: { name: string; reason: string }[] = []
  const paths = new Set<string>()
  const resources = sourcesOf(schema).flatMap((found) => {
    if (!keeps(found.name)) return []
    try {
      const path = candidates(found).find((each) => /^[\w.~-]+$/.test(each) && !isOwnPath(each) && !paths.has(each))
      if (path === undefined) throw new UsageError('there is no path for it that is free: it needs letters and digits')
      const made = resource(found.source, { path, readOnly }) as Resource
      planResources(drizzle, [made])
      paths.add(path)
      return [made]
    } catch (error) {
      leftOut.push({ name: found.qualified, reason: error instanceof Error ? error.message : String(error) })
      return []
    }
  })
  return { resources, leftOut }
}

interface Found {
  readonly source: Source
  readonly exported: string
  readonly schema: string | undefined
  readonly name: string
  /** As in `sales.orders`. */
  readonly qualified: string
}

/** Those whose name is a path as it is come first: no other table takes it from them. One that is declared twice counts once. */
function sourcesOf(schema: Readonly<Record<string, unknown>>): readonly Found[] {
  const found = new Map<string, Found>()
  for (const [exported, source] of Object.entries(schema)) {
    if (!isSource(source)) continue
    const { schema: own, name } = configOf(source)
    const qualified = own === undefined ? name : `${own}.${name}`
    if (found.has(qualified) && conventionsOf(source) === undefined) continue
    found.set(qualified, { source, exported, schema: own, name, qualified })
  }
  const isPlain = ({ name }: Found) => Number(pathOfName(name) !== name.replaceAll('_', '-'))
  return [...found.values()].toSorted((one, other) => isPlain(one) - isPlain(other))
}

function candidates({ schema, name, exported }: Found): string[] {
  const path = pathOfName(name)
  if (path === '') return [exported]
  return schema === undefined ? [path, `public.${path}`, exported] : [`${pathOfName(schema)}.${path}`, exported]
}

function configOf(source: Source): { readonly schema?: string | undefined; readonly name: string } {
  if (is(source, Table)) return getTableConfig(source as PgTable)
  const { schema } = is(source, PgView)
    ? getViewConfig(source)
    : getMaterializedViewConfig(source as PgMaterializedView)
  return { schema, name: getViewName(source as PgView) }
}
