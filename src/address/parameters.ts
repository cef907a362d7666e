/**
 * libpq's connection parameters: those that Rivulet uses, with the environment variable of each; those that change
 * nothing here; and those that are refused. An unknown parameter is an error, because drivers pass it on to the server,
 * and a misspelt `sslmode` would go unnoticed.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
 */
import { ConfigInvalid } from '../errors.ts'

/** The parameters that Rivulet uses, with the variable of each. */
const variables = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  application_name: 'PGAPPNAME',
  fallback_application_name: undefined,
  options: 'PGOPTIONS',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  load_balance_hosts: 'PGLOADBALANCEHOSTS',
  channel_binding: 'PGCHANNELBINDING',
  require_auth: 'PGREQUIREAUTH',
  sslmode: 'PGSSLMODE',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslpassword: undefined,
  sslcertmode: 'PGSSLCERTMODE',
  sslcrl: 'PGSSLCRL',
  sslsni: 'PGSSLSNI',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  gssencmode: 'PGGSSENCMODE',
  requirepeer: 'PGREQUIREPEER',
  keepalives: undefined,
  keepalives_idle: undefined,
  pgbouncer: undefined,
} as const

export type ParameterName = keyof typeof variables

/** The value of a parameter; undefined where neither the URL nor the environment has one. */
export type Parameters = (name: ParameterName) => string | undefined

/** Parameters that change nothing here, each with the values for which that is so. */
const harmless: Readonly<Record<string, RegExp>> = {
  client_encoding: /^(?:auto|utf-?8|unicode)$/i,
  gssdelegation: /^0$/,
  gsslib: /^/,
  krbsrvname: /^/,
  // Node cannot set these; `pool.probeAfterMs` serves the same purpose.
  keepalives_interval: /^\d+$/,
  keepalives_count: /^\d+$/,
  tcp_user_timeout: /^\d+$/,
  max_protocol_version: /^(?:3\.0|3\.2|latest)$/,
  min_protocol_version: /^3\.0$/,
  replication: /^(?:false|off|no|0)$/i,
  sslcompression: /^[01]$/,
  // node-postgres' switch for what is done here anyway, and marks of Supabase for other clients.
  uselibpqcompat: /^true$/,
  supa: /^/,
  workaround: /^/,
}

/** What to do instead of using a parameter that libpq or another driver knows. */
const instead: Readonly<Record<string, string>> = {
  service: 'service files are not read; write its parameters into the URL',
  servicefile: 'service files are not read; write its parameters into the URL',
  requirepeer: 'Node cannot tell who owns the other end of a Unix socket',
  sslcrldir: 'give the lists in one file, as sslcrl',
  connection_limit: 'set pool.max in the config',
  pool_timeout: 'set pool.acquireTimeoutMs in the config',
  pool_size: 'set pool.max in the config',
  socket_timeout: 'give calls a timeoutMs',
  statement_cache_size: 'set pool.maxPreparedStatements in the config',
  prepare: "set pooler: 'transaction' in the config",
  schema: 'write options=-csearch_path%3Dname',
  search_path: 'write options=-csearch_path%3Dname',
  statement_timeout: 'write options=-cstatement_timeout%3D5000',
  sslaccept: 'write sslmode=require, which checks no certificate, or sslmode=verify-full',
}

/**
 * Reads the parameters from the URL, and from the environment where the URL leaves them open.
 * @throws ConfigInvalid, which names a parameter that is unknown or not supported.
 */
export function parametersOf(
  given: ReadonlyMap<string, string>,
  variable: (name: string) => string | undefined,
): Parameters {
  for (const [name, value] of given) check(name, value)
  const placed = Boolean(given.get('host') || given.get('hostaddr'))
  const parameters: Parameters = (name) => {
    // A URL that names a host must not lead to the address of another one.
    const standIn = name === 'hostaddr' && placed ? undefined : variables[name]
    return (given.get(name) ?? (standIn === undefined ? undefined : variable(standIn))) || undefined
  }
  if (parameters('requirepeer') !== undefined) throw refused('requirepeer')
  if (!/^(?:disable|prefer)$/.test(parameters('gssencmode') ?? 'disable')) {
    throw new ConfigInvalid('gssencmode asks for encryption by Kerberos, which is not supported: use sslmode')
  }
  return parameters
}

/** Names a parameter for messages, with its variable, so that it can be found wherever it was set. */
export function describeParameter(name: ParameterName): string {
  const standIn = variables[name]
  return standIn === undefined ? `${name} in the database URL` : `${name} in the database URL, or ${standIn},`
}

function check(name: string, value: string): void {
  if (Object.hasOwn(variables, name)) return
  const harmlessValue = Object.hasOwn(harmless, name) ? harmless[name] : undefined
  if (harmlessValue === undefined) throw refused(name)
  if (value !== '' && !harmlessValue.test(value))
    throw new ConfigInvalid(`${name} in the database URL has a value that is not supported: leave it out`)
}

function refused(name: string): ConfigInvalid {
  const hint = Object.hasOwn(instead, name) ? instead[name] : undefined
  if (hint !== undefined)
    return new ConfigInvalid(`the parameter ${name} in the database URL is not supported: ${hint}`)
  const known = [...Object.keys(variables), ...Object.keys(harmless)].filter((each) => !Object.hasOwn(instead, each))
  return new ConfigInvalid(
    `unknown parameter ${JSON.stringify(name)} in the database URL; known are ${known.sort().join(', ')}`,
  )
}
