/**
 * How to reach a server and as whom, once the database URL and the environment have been read. Plain values: files are
 * read, numbers are numbers, defaults are filled in.
 */

/** One host and port where the server may be. */
export interface Endpoint {
  /** A host name, an address, or the directory of a Unix socket. */
  readonly host: string
  readonly port: number
  /** The network address of `host`, if it is known: then no name is resolved. */
  readonly ip?: string | undefined
  readonly password: string
}

export const tlsModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

/**
 * libpq's sslmode; only the verify modes check the server's certificate.
 * https://www.postgresql.org/docs/current/libpq-ssl.html
 */
export type TlsMode = (typeof tlsModes)[number]

/** How the connection is encrypted; what is undefined is Node's default. */
export interface TlsSettings {
  readonly mode: TlsMode
  /** Starts TLS with the first byte, without an SSLRequest: PostgreSQL 17 and later. */
  readonly direct: boolean
  /** PEM of the authorities that may vouch for the server. */
  readonly authorities: string | readonly string[] | undefined
  /** PEM of our certificate, for servers that ask for one, and its key. */
  readonly certificate: string | undefined
  readonly key: string | undefined
  readonly keyPassword: string | undefined
  readonly revoked: string | undefined
  /** Whether the host's name is sent before encryption begins. */
  readonly namesHost: boolean
  readonly minVersion: TlsVersion | undefined
  readonly maxVersion: TlsVersion | undefined
}

export const tlsVersions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const

type TlsVersion = (typeof tlsVersions)[number]

export const sessionKinds = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const

/** Which of several servers will do. */
export type SessionKind = (typeof sessionKinds)[number]

export const bindings = ['disable', 'prefer', 'require'] as const

/**
 * Whether the proof of the password is bound to the server's certificate, so that a man in the middle cannot use it.
 */
type ChannelBinding = (typeof bindings)[number]

export const authentications = ['none', 'password', 'md5', 'scram-sha-256'] as const

/** The methods by which a server may ask for authentication. */
export type Authentication = (typeof authentications)[number]

/** How to reach one server and as whom. `host`, `port`, `ip` and `password` are those of the first endpoint. */
export interface ServerAddress extends Endpoint {
  /** All endpoints to try, in order. */
  readonly endpoints: readonly Endpoint[]
  readonly database: string
  readonly user: string
  readonly tls: TlsSettings
  readonly channelBinding: ChannelBinding
  /** The accepted methods of authentication. */
  readonly authentications: readonly Authentication[]
  readonly sessionKind: SessionKind
  /** Whether the endpoints are tried in random order. */
  readonly shuffled: boolean
  /** Milliseconds that one endpoint may take to respond, if the URL says so. */
  readonly connectTimeoutMs: number | undefined
  /** Milliseconds of silence after which TCP probes the other side; 0: never. */
  readonly keepAliveMs: number
  /** Whether the URL says that a pooler lends its connections for one transaction each. */
  readonly pooled: boolean
  /** Start-up parameters of the session. */
  readonly startup: Readonly<Record<string, string>>
}

/** The same server with one endpoint only. */
export function at(address: ServerAddress, endpoint: Endpoint): ServerAddress {
  return { ...address, ip: undefined, ...endpoint, endpoints: [endpoint] }
}

/** Describes an address for messages, without user, password or parameters. */
export function describeAddress({ endpoints, database }: Pick<ServerAddress, 'endpoints' | 'database'>): string {
  return `${endpoints.map(({ host, port }) => `${host}:${port}`).join(',')}/${database}`
}
