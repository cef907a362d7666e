/**
 * libpq's connection parameters: which mean something here, which environment variable stands in for one that the URL
 * leaves open, which change nothing and may stay, and which are refused. A parameter that nobody knows is an error:
 * drivers pass it on to the server, and a misspelt `sslmode` would go unnoticed.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
 */
import { ConfigInvalid } from '../errors.ts'

/** Parameters that are acted upon, and the variable of each. */
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

/** Parameters that change nothing here, with the values for which that is true. */
const harmless: Readonly<Record<string, RegExp>> = {
  client_encoding: /^(?:auto|utf-?8|unicode)$/i,
  gssdelegation: /^0$/,
  gsslib: /^/,
  krbsrvname: /^/,
  // Node cannot set them; `pool.probeAfterMs` is there for what they are for.
  keepalives_interval: /^\d+$/,
  keepalives_count: /^\d+$/,
  tcp_user_timeout: /^\d+$/,
  max_protocol_version: /^(?:3\.0|3\.2|latest)$/,
  min_protocol_version: /^3\.0$/,
  replication: /^(?:false|off|no|0)$/i,
  sslcompression: /^[01]$/,
  // How node-postgres is told to do what is done here anyway, and marks that the URLs of Supabase carry for others.
  uselibpqcompat: /^true$/,
  supa: /^/,
  workaround: /^/,
}

/** What to write instead of parameters that libpq or other drivers know. */
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
 * What the URL says, and the environment where the URL says nothing.
 * @throws ConfigInvalid for a parameter that is unknown or cannot be kept, by its name.
 */
export function parametersOf(
  given: ReadonlyMap<string, string>,
  variable: (name: string) => string | undefined,
): Parameters {
  for (const [name, value] of given) check(name, value)
  const placed = Boolean(given.get('host') || given.get('hostaddr'))
  const parameters: Parameters = (name) => {
    // A URL that names a place must not be led to another one.
    const standIn = name === 'hostaddr' && placed ? undefined : variables[name]
    return (given.get(name) ?? (standIn === undefined ? undefined : variable(standIn))) || undefined
  }
  if (parameters('requirepeer') !== undefined) throw refused('requirepeer')
  if (!/^(?:disable|prefer)$/.test(parameters('gssencmode') ?? 'disable')) {
    throw new ConfigInvalid('gssencmode asks for encryption by Kerberos, which is not supported: use sslmode')
  }
  return parameters
}

/** What a message calls a parameter, so that it is found wherever it was set. */
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
