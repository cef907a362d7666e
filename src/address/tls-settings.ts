/**
 * Reads the parameters of encryption and the files they name. As in libpq, `sslmode=require` checks certificates if
 * `sslrootcert` is given, and `sslrootcert=system` needs a mode that checks the name as well. The files that libpq
 * looks for in ~/.postgresql are not read.
 * https://www.postgresql.org/docs/current/libpq-ssl.html
 */
import { readFileSync } from 'node:fs'
import * as tls from 'node:tls'
import { ConfigInvalid } from '../errors.ts'
import { describeParameter, type ParameterName, type Parameters } from './parameters.ts'
import { isPrivate } from './password-file.ts'
import { type TlsMode, tlsModes, type TlsSettings, tlsVersions } from './server-address.ts'

/** @throws ConfigInvalid for a wrong value, a file that cannot be read, or parameters that contradict each other. */
export function tlsSettings(parameter: Parameters, mode: string | undefined): TlsSettings {
  const rootFile = parameter('sslrootcert')
  const asked = oneOf('sslmode', mode, modeNames)
  const direct = oneOf('sslnegotiation', parameter('sslnegotiation'), ['postgres', 'direct']) === 'direct'
  if (direct && !/^(?:require|verify)/.test(asked ?? 'prefer')) {
    throw new ConfigInvalid('sslnegotiation=direct needs sslmode=require, verify-ca or verify-full')
  }
  if (rootFile === 'system' && (asked ?? 'verify-full') !== 'verify-full') {
    throw new ConfigInvalid('sslrootcert=system needs sslmode=verify-full, or no sslmode')
  }
  const certificateMode = oneOf('sslcertmode', parameter('sslcertmode'), ['disable', 'allow'])
  const [certFile, keyFile] = [parameter('sslcert'), parameter('sslkey')]
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new ConfigInvalid('sslcert and sslkey belong together: one of them is missing')
  }
  const shown = certificateMode !== 'disable'
  return {
    mode: modeOf(asked, rootFile),
    direct,
    authorities: rootFile === 'system' ? systemAuthorities() : contents('sslrootcert', rootFile),
    certificate: shown ? contents('sslcert', certFile) : undefined,
    key: shown ? keyIn(keyFile) : undefined,
    keyPassword: parameter('sslpassword'),
    revoked: contents('sslcrl', parameter('sslcrl')),
    namesHost: oneOf('sslsni', parameter('sslsni'), ['0', '1']) !== '0',
    minVersion: oneOf('ssl_min_protocol_version', parameter('ssl_min_protocol_version'), tlsVersions),
    maxVersion: oneOf('ssl_max_protocol_version', parameter('ssl_max_protocol_version'), tlsVersions),
  }
}

/** Returns the value. @throws ConfigInvalid, which lists the known values, for any other. */
export function oneOf<T extends string>(
  name: ParameterName,
  value: string | undefined,
  known: readonly T[],
): T | undefined {
  if (value === undefined) return undefined
  const found = known.find((each) => each === value)
  if (found === undefined) throw new ConfigInvalid(`${describeParameter(name)} must be one of ${known.join(', ')}`)
  return found
}

/** libpq's `allow` prefers no encryption but accepts it; here it is the same as `prefer`. */
const modeNames = [...tlsModes, 'allow'] as const

function modeOf(asked: (typeof modeNames)[number] | undefined, rootFile: string | undefined): TlsMode {
  if (rootFile === 'system') return 'verify-full'
  if (asked === 'require' && rootFile !== undefined) return 'verify-ca'
  return asked === 'allow' ? 'prefer' : (asked ?? 'prefer')
}

/** The authorities of Node and of the system; undefined in a Node that has only its own, which it then uses. */
function systemAuthorities(): readonly string[] | undefined {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default' | 'system') => string[] }
  return getCACertificates && [...getCACertificates('default'), ...getCACertificates('system')]
}

function keyIn(path: string | undefined): string | undefined {
  const key = contents('sslkey', path)
  if (path !== undefined && !isPrivate(path)) {
    throw new ConfigInvalid(
      `the file named by ${describeParameter('sslkey')} can be read by other users: run chmod 600 on it`,
    )
  }
  return key
}

function contents(name: ParameterName, path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigInvalid(`the file named by ${describeParameter(name)} cannot be read`, { cause })
  }
}
