/**
 * Splits a connection URI as libpq does: several hosts, each with a port of its own; everything is percent-decoded and
 * nothing else, so that a plus is a plus. Returns libpq's parameters by name, without their meaning. Messages repeat
 * nothing of the URI but names of parameters, because what looks like a port may be half a password.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 */
import { ConfigInvalid } from '../errors.ts'

const shape = 'expected postgres://user:password@host:port/database'
const escape = 'characters such as @ : / ? # in the password must be percent-encoded'

/** The parameters of a URI; the parts before the question mark are `user`, `password`, `host`, `port` and `dbname`. */
export function uriParameters(text: string): Map<string, string> {
  const [scheme] = /^postgres(?:ql)?:\/\//.exec(text) ?? []
  if (scheme === undefined) throw new ConfigInvalid(`the database URL is not a PostgreSQL URL: ${shape}`)
  if (text.includes('%00') || text.includes('\0')) throw new ConfigInvalid('the database URL has a NUL character')
  const whole = text.slice(scheme.length)
  const at = endOfUser(whole)
  const [, place = '', path, query] = /^([^/?]*)(?:\/([^?]*))?(?:\?([^]*))?$/.exec(whole.slice(at + 1)) ?? []
  // Half a password could be taken for a host, a database or the name of a parameter, and end up in messages.
  const misplaced = path?.includes('@') || place.includes('@')
  if (misplaced || (query?.includes('@') && (at >= 0 || /:.*[^\d,:\]]/.test(place)))) {
    throw new ConfigInvalid(`the database URL has an @ in the wrong place: ${escape}`)
  }
  const found = new Map<string, string>()
  const keep = (name: string, value: string) => value !== '' && found.set(name, value)
  if (at >= 0) {
    const [, user = '', password = ''] = /^([^:]*):?([^]*)$/.exec(whole.slice(0, at)) ?? []
    keep('user', decoded(user))
    keep('password', decoded(password))
  }
  for (const [name, values] of placeParameters(place)) if (values.some(Boolean)) keep(name, values.join(','))
  keep('dbname', decoded(path ?? ''))
  for (const pair of (query ?? '').split('&').filter(Boolean)) {
    const [, name = '', value] = /^([^=]*)(?:=([^]*))?$/.exec(pair) ?? []
    if (value === undefined || name === '')
      throw new ConfigInvalid('a parameter in the database URL has no = or no name')
    // Also when it is empty: then no variable stands in.
    found.set(decoded(name), decoded(value))
  }
  return found
}

/**
 * The position of the @ after user and password; -1 without one. libpq takes the first @ before the first slash. Here
 * the last one before the host is taken, because hosts have no @ and many passwords do.
 */
function endOfUser(text: string): number {
  const [authority = ''] = /^[^/?]*/.exec(text) ?? []
  const last = authority.lastIndexOf('@')
  if (last >= 0) return last
  const [upToPath = ''] = /^[^/]*/.exec(text) ?? []
  return upToPath.lastIndexOf('@')
}

/** The hosts and ports of `a:1,[::1]:2,c`; a part that is left out is empty. */
function placeParameters(text: string): [string, string[]][] {
  const hosts: string[] = []
  const ports: string[] = []
  for (const each of text.split(',')) {
    const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(each)
    if (!match) {
      throw new ConfigInvalid(`the database URL cannot be parsed: ${shape}; ${escape}; write an IPv6 address in [ ]`)
    }
    const [, bracketed, plain = '', port = ''] = match
    hosts.push(decoded(bracketed ?? plain))
    ports.push(decoded(port))
  }
  return [
    ['host', hosts],
    ['port', ports],
  ]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new ConfigInvalid('the database URL has an invalid percent-encoding: write a literal % as %25')
  }
}
