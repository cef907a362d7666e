/**
 * Turns a database URL and libpq's variables into the address of a server: endpoints, credentials, encryption and
 * start-up parameters, each checked. The caller reads the environment, and no message repeats a password.
 */
import { isIP } from 'node:net'
import { userInfo } from 'node:os'
import { ConfigInvalid } from '../errors.ts'
import { describeParameter, type ParameterName, type Parameters, parametersOf } from './parameters.ts'
import { passwordFile } from './password-file.ts'
import { type Authentication, authentications, bindings, sessionKinds } from './server-address.ts'
import type { Endpoint, ServerAddress } from './server-address.ts'
import { oneOf, tlsSettings } from './tls-settings.ts'
import { uriParameters } from './uri.ts'

/** What a database URL is read with. */
export interface UrlContext {
  /** The name in pg_stat_activity, unless the URL says another. Default: PGAPPNAME, else `rivulet`. */
  readonly applicationName?: string | undefined
  /** The value of an environment variable. */
  readonly variable: (name: string) => string | undefined
}

/** @throws ConfigInvalid that names the fault. */
export function serverAddress(text: string, { applicationName, variable }: UrlContext): ServerAddress {
  const given = uriParameters(text)
  const ssl = given.get('ssl')
  given.delete('ssl')
  const parameter = parametersOf(given, variable)
  const user = parameter('user') ?? userInfo().username
  const database = parameter('dbname') ?? user
  const endpoints = endpointsOf(parameter, { user, database })
  const [first] = endpoints
  const tls = tlsSettings(parameter, given.get('sslmode') || (ofSsl(ssl) ?? parameter('sslmode')))
  const channelBinding = oneOf('channel_binding', parameter('channel_binding'), bindings) ?? 'prefer'
  if (channelBinding === 'require' && tls.mode === 'disable') {
    throw new ConfigInvalid('channel_binding=require needs encryption: sslmode=disable rules it out')
  }
  const options = parameter('options')
  return {
    ...first,
    endpoints,
    user,
    database,
    tls,
    channelBinding,
    authentications: authenticationsOf(parameter('require_auth')),
    sessionKind: oneOf('target_session_attrs', parameter('target_session_attrs'), sessionKinds) ?? 'any',
    shuffled: oneOf('load_balance_hosts', parameter('load_balance_hosts'), ['disable', 'random']) === 'random',
    connectTimeoutMs: connectTimeoutMs(parameter('connect_timeout')),
    keepAliveMs: keepAliveMs(parameter),
    pooled: oneOf('pgbouncer', parameter('pgbouncer'), ['true', 'false']) === 'true',
    startup: {
      application_name:
        (given.get('application_name') || applicationName) ??
        parameter('application_name') ??
        parameter('fallback_application_name') ??
        'rivulet',
      ...(options === undefined ? {} : { options }),
    },
  }
}

/** Hosts, addresses and ports are lists of one length; one port is for all. */
function endpointsOf(
  parameter: Parameters,
  { user, database }: { readonly user: string; readonly database: string },
): readonly [Endpoint, ...Endpoint[]] {
  const ips = listOf(parameter('hostaddr'))
  const hosts = listOf(parameter('host')) ?? ips ?? ['']
  const ports = listOf(parameter('port')) ?? ['']
  if (ips !== undefined && ips.length !== hosts.length) {
    throw new ConfigInvalid(
      `host in the database URL lists ${hosts.length} and hostaddr ${ips.length}: give one address for each host`,
    )
  }
  if (ports.length !== 1 && ports.length !== hosts.length) {
    throw new ConfigInvalid(
      `host in the database URL lists ${hosts.length} and port ${ports.length}: give one port for all hosts, or one for each`,
    )
  }
  if (ips?.some((ip) => ip !== '' && isIP(ip) === 0)) {
    throw new ConfigInvalid(`${describeParameter('hostaddr')} must be an IP address; names belong in host`)
  }
  const password = parameter('password')
  const lookUp = password === undefined ? passwordFile(parameter('passfile')) : () => password
  const endpoints = hosts.map((name, at) => {
    const ip = ips?.[at] || undefined
    const host = name || ip || 'localhost'
    const port = portNumber((ports.length === 1 ? ports[0] : ports[at]) ?? '')
    return { host, port, ip, password: lookUp({ host, port, user, database }) ?? '' }
  })
  return endpoints as [Endpoint, ...Endpoint[]]
}

function listOf(value: string | undefined): string[] | undefined {
  return value?.split(',')
}

function portNumber(text: string): number {
  const port = text === '' ? 5432 : Number(text)
  if (!/^\d*$/.test(text) || port < 1 || port > 65_535) {
    throw new ConfigInvalid(
      'the port in the database URL, or PGPORT, must be a whole number from 1 to 65535; characters such as @ : / ? # ' +
        'in a password must be percent-encoded',
    )
  }
  return port
}

/** JDBC's `ssl=true`, which libpq knows as well. */
function ofSsl(value: string | undefined): string | undefined {
  if (!value) return undefined
  if (value === 'true' || value === '1') return 'require'
  if (value === 'false' || value === '0') return 'disable'
  throw new ConfigInvalid('ssl in the database URL must be true or false: use sslmode for anything else')
}

/** A list of what is accepted or, each with an exclamation mark, of what is not. */
function authenticationsOf(text: string | undefined): readonly Authentication[] {
  if (text === undefined) return authentications
  const names = text.split(',').map((name) => name.trim())
  const refusals = names.filter((name) => name.startsWith('!')).map((name) => name.slice(1))
  if (refusals.length > 0 && refusals.length < names.length) {
    throw new ConfigInvalid(
      `${describeParameter('require_auth')} must list either the accepted methods or, with !, the refused ones`,
    )
  }
  const listed = refusals.length > 0 ? refusals : names
  const known: readonly string[] = [...authentications, 'gss', 'sspi', 'oauth']
  if (!listed.every((name) => known.includes(name))) {
    throw new ConfigInvalid(`${describeParameter('require_auth')} must be a list of ${known.join(', ')}`)
  }
  return authentications.filter((name) => listed.includes(name) !== refusals.length > 0)
}

function connectTimeoutMs(text: string | undefined): number | undefined {
  const seconds = wholeNumber('connect_timeout', text)
  return seconds === undefined || seconds <= 0 ? undefined : seconds * 1000
}

/** Half a minute, unless the URL says otherwise. */
function keepAliveMs(parameter: Parameters): number {
  if (wholeNumber('keepalives', parameter('keepalives')) === 0) return 0
  return (wholeNumber('keepalives_idle', parameter('keepalives_idle')) || 30) * 1000
}

function wholeNumber(name: ParameterName, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\s*-?\d{1,6}\s*$/.test(text)) throw new ConfigInvalid(`${describeParameter(name)} must be a whole number`)
  return Number(text)
}
