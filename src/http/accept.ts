/** Which of the types that a resource has a client wants (RFC 9110, 12.5.1): of those it takes, the one it likes best. */
import type { Context } from 'hono'
import { type Accept, parseAccept } from 'hono/utils/accept'
import { Problem } from '../answer/problem.ts'

/** One of these types; the first for a client that does not say. @throws Problem 406 where it takes none of them */
export function acceptedType<TType extends string>({ req }: Context, types: readonly [TType, ...TType[]]): TType {
  const given = req.header('accept')
  if (given === undefined || given === '*/*') return types[0]
  const ranges = parseAccept(given)
  if (ranges.length === 0) return types[0]
  const [best] = types.map((type) => ({ type, q: qualityOf(type, ranges) })).sort((a, b) => b.q - a.q)
  if (best && best.q > 0) return best.type
  const detail = `accept ${types.join(', or ')}: there is nothing else here`
  throw new Problem({ status: 406, code: 'not_acceptable', detail, headers: { vary: 'accept, authorization' } })
}

/** The closest range decides: `text/csv;q=0, *\/*` is anything but CSV. */
function qualityOf(type: string, ranges: readonly Accept[]): number {
  const closest = [type, type.replace(/\/.*/, '/*'), '*/*', '*']
  const found = closest.map((wanted) => ranges.find((range) => range.type.toLowerCase() === wanted))
  return found.find((range) => range !== undefined)?.q ?? 0
}
