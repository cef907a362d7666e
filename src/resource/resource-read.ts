/**
 * What a GET of a resource reads: its list, or the row that a path names. It is found out before anything is read, by the
 * same function for a route and for a query of a gather, so that both take the same and answer the same.
 */
import type { TableRepository } from '../repository/table-repository.ts'
import { isPlain } from '../values/plain-object.ts'
import { readListQuery, readParameters, readRowQuery, WrongParameter } from './query.ts'
import type { PlannedResource } from './resource.ts'
import { mostFaults, type RowFault, WrongRows } from './row-input.ts'
import { readKey } from './row-key.ts'

/** What was read. */
interface ReadAnswer {
  readonly body: Readonly<Record<string, unknown>>
  /** That of a row which has one. */
  readonly version: string | undefined
}

/** A resource, the URL that asks for it, and the key of a row as it stands there; without one, its list. */
export interface ResourceUrl {
  readonly resource: PlannedResource
  readonly url: string
  readonly segment?: string | undefined
}

/** The read that a URL asks for. @throws WrongParameter */
export function planRead({
  resource,
  url,
  segment,
}: ResourceUrl): (repository: TableRepository) => Promise<ReadAnswer> {
  if (segment === undefined) {
    const query = readListQuery(resource, readParameters(url))
    return async (repository) => {
      const { rows: data, next = null, previous = null, count } = await repository.list(query)
      if (Math.max(next?.length ?? 0, previous?.length ?? 0) > longestCursor) throw new WrongParameter('sort', noPlace)
      return { body: { data, next, previous, count }, version: undefined }
    }
  }
  const key = readKey(resource, segment)
  const query = readRowQuery(resource, readParameters(url))
  return (repository) => repository.get(key, query).then((body) => ({ body, version: versionOf(resource, body) }))
}

/** A request line may have 8192 characters in most servers: this leaves room for filters. */
const longestCursor = 6144
const noPlace =
  'is by a value that is too long for a URL to name the next page: sort by another column, or read the list as application/x-ndjson'

/** The version of a row as it is seen; undefined where it has none. */
export function versionOf({ plan }: PlannedResource, row: Readonly<Record<string, unknown>>): string | undefined {
  const version = plan.version && row[plan.version.property]
  return version === undefined ? undefined : String(version)
}

/** Reads that are asked for together, by name. */
export interface GatherRequest {
  readonly reads: ReadonlyMap<string, ResourceUrl>
  readonly snapshot: boolean
  readonly concurrency: number | undefined
}

/** Characters a query may have: more than a request line. */
const longestQuery = 8192

/** The reads of `{ queries: { name: '/path?…' }, snapshot?, concurrency? }`, at most `most`. @throws WrongRows */
export function readGather(resources: readonly PlannedResource[], given: unknown, most: number): GatherRequest {
  const faults: RowFault[] = []
  const add = (detail: string, ...path: string[]) => faults.push({ path, detail })
  if (!isPlain(given)) throw new WrongRows([{ path: [], detail: 'must be an object' }])
  const { queries, snapshot = false, concurrency, ...others } = given
  for (const name of Object.keys(others).slice(0, mostFaults)) add('must be queries, snapshot or concurrency', name)
  if (typeof snapshot !== 'boolean') add('must be true or false', 'snapshot')
  const isCount = Number.isInteger(concurrency) && Number(concurrency) >= 1 && Number(concurrency) <= most
  if (concurrency !== undefined && !isCount) add(`must be a whole number from 1 to ${most}`, 'concurrency')
  const asked = isPlain(queries) ? Object.entries(queries) : []
  if (!isPlain(queries)) add('must be an object of names and paths', 'queries')
  else if (asked.length < 1 || asked.length > most) add(`must be 1 to ${most} paths`, 'queries')
  const reads = new Map<string, ResourceUrl>()
  for (const [name, path] of asked.slice(0, most)) {
    const found = findRead(resources, path)
    if (!/^[a-z][\w.-]{0,63}$/i.test(name))
      add('must be named by a letter, then letters, digits, dots or hyphens: 64 at most', 'queries', name)
    else if (found) reads.set(name, found)
    else add('must be a path of a resource, such as /products/7 or /products?limit=5', 'queries', name)
  }
  if (faults.length > 0) throw new WrongRows(faults)
  return { reads, snapshot: snapshot === true, concurrency: concurrency as number | undefined }
}

/** What a GET of this path would read here: no other host, no other way to write it, nothing above. */
function findRead(resources: readonly PlannedResource[], path: unknown): ResourceUrl | undefined {
  if (typeof path !== 'string' || path.length > longestQuery) return undefined
  const [, name, segment] =
    /^\/([\w.~-]+)(?:\/(?!(?:\.|%2e){1,2}(?:$|\?))([!"$-.0->@-[\]-~]+))?(?:\?[!"$-~]*)?$/i.exec(path) ?? []
  const resource = resources.find((each) => each.path === name)
  if (!resource || (segment !== undefined && resource.key.length === 0)) return undefined
  return { resource, url: path, segment }
}
