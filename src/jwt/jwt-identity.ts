/**
 * Who a request is, by its JSON Web Token: `Authorization: Bearer …`, checked by `jose`, becomes the role and the settings
 * of the request's sessions. The token chooses among the roles that the application lists, and never names one to the
 * database. What is refused is told by RFC 6750 and says nothing of the token. https://www.rfc-editor.org/rfc/rfc8725
 */
import { isLoopback } from '../address/loopback.ts'
import { createSecretKey, type KeyObject } from 'node:crypto'
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { ConfigInvalid } from '../errors.ts'
import type { Identify } from '../http/front.ts'
import { Problem } from '../answer/problem.ts'
import { checkSettings, optionNames } from '../option-names.ts'
import { checkIdentity, type Identity } from '../session/identity.ts'
import { issuerKeys } from './issuer-keys.ts'

/** The claims of a token whose signature, times, audience and issuer have been checked; all others are as they were sent. */
export type JwtClaims = JWTPayload

/** How tokens may be signed: `HS…` with a secret, the others with the keys of a `jwksUrl`. */
export type JwtAlgorithm = SecretAlgorithm | PublicKeyAlgorithm
/** How tokens may be signed with a secret. */
export type SecretAlgorithm = 'HS256' | 'HS384' | 'HS512'
/** How tokens may be signed with a key whose public half everybody may have. */
export type PublicKeyAlgorithm =
  | ('RS256' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512')
  | ('ES256' | 'ES384' | 'ES512' | 'EdDSA' | 'Ed25519')

/** Options of `jwtIdentity`. */
export interface JwtOptions {
  /** The secret that tokens are signed with: at least 32 bytes for HS256, 48 for HS384, 64 for HS512. */
  readonly secret?: string | Uint8Array | undefined
  /** Where the issuer publishes its keys, by https; http is for this machine only. In place of `secret`. */
  readonly jwksUrl?: string | URL | undefined
  /** The only ones that are taken. Default HS256 with a secret; RS256, ES256 and EdDSA with a `jwksUrl`. */
  readonly algorithms?: readonly JwtAlgorithm[] | undefined
  /** Whom tokens must be for (`aud`): this service. */
  readonly audience: string
  /** Who must have issued them (`iss`). */
  readonly issuer: string
  /** Seconds by which the clocks may differ. 0 to 300; default 5. */
  readonly clockToleranceSeconds?: number | undefined
  /** Milliseconds a `jwksUrl` may take to answer. 1 to 60,000; default 3,000. */
  readonly jwksTimeoutMs?: number | undefined
  /** The roles that a token may have; one that names another is answered 403. */
  readonly roles: readonly string[]
  /**
   * The identity that the claims stand for; undefined for claims that stand for none, which is answered 401. Claims are of
   * any type: look before you use one.
   */
  readonly identityOf: (claims: JwtClaims) => Identity | undefined
  /** The identity of requests without a token. Default: they are answered 401. */
  readonly anonymous?: Identity | undefined
}

const secretBytes: Readonly<Record<SecretAlgorithm, number>> = { HS256: 32, HS384: 48, HS512: 64 }
const publicAlgorithms: readonly PublicKeyAlgorithm[] = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
]

/** Characters a token may have; more would be no token but an attempt to keep us busy. */
const longestToken = 8192

/**
 * An `identity` function for `createApp`. Requests are refused by a Problem: 400 `invalid_request`, 401 `token_required` and
 * `invalid_token`, 403 `insufficient_scope`, 503 `keys_unavailable`. @throws ConfigInvalid for options that are missing, do
 * not fit each other, or are not safe, such as a secret that is too short.
 */
export function jwtIdentity(options: JwtOptions): Identify {
  checkJwtOptions(options)
  const { audience, issuer, clockToleranceSeconds = 5, roles, identityOf, anonymous } = options
  const { algorithms, keyFor } = options.secret === undefined ? publicKeys(options) : secretKey(options)
  const rules = { audience, issuer, clockTolerance: clockToleranceSeconds, requiredClaims: ['exp'], algorithms }
  return async (context) => {
    const token = bearerToken(context.req.header('authorization'))
    if (token === undefined) {
      context.set('challenge', 'Bearer')
      if (anonymous) return anonymous
      throw refusal(401, 'token_required', 'send an access token: authorization: Bearer …')
    }
    const { payload } = await context
      .get('deadline')
      .race(jwtVerify(token, keyFor, rules), keysUnavailable)
      .catch((error: unknown) => {
        throw error instanceof errors.JOSEError ? invalidToken() : error
      })
    const identity = identityOf(payload)
    if (!identity || !Object.values(identity.settings ?? {}).every(isText)) throw invalidToken()
    if (identity.role !== undefined && roles.includes(identity.role)) return identity
    throw refusal(403, 'insufficient_scope', 'the access token has no role that this service knows')
  }
}

/** The token of a header; undefined without one. @throws Problem 400, 401 */
function bearerToken(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const [, scheme = '', given = ''] = /^(\S*) *(.*)$/s.exec(header) ?? []
  // Who says by other means who they are is not nobody.
  if (scheme !== '' && scheme.toLowerCase() !== 'bearer') {
    throw refusal(401, 'token_required', 'this service takes access tokens only: authorization: Bearer …')
  }
  if (given.length > longestToken) throw invalidToken()
  // Several headers arrive as one, with a comma between them.
  if (/^[\w.~+/-]+=*$/.test(given)) return given
  throw refusal(400, 'invalid_request', 'there must be one authorization header: Bearer and the access token')
}

/** RFC 6750, 3: the header that goes with a refusal has its code, but where there was no token. */
function refusal(status: number, code: string, detail: string): Problem {
  const challenge = code === 'token_required' ? 'Bearer' : `Bearer error="${code}"`
  return new Problem({ status, code, detail, headers: { 'www-authenticate': challenge } })
}

function invalidToken(): Problem {
  return refusal(401, 'invalid_token', 'the access token is not valid here: get a new one')
}

function keysUnavailable(cause?: unknown): Problem {
  const detail = 'access tokens cannot be checked at the moment: try again later'
  const problem = new Problem({ status: 503, code: 'keys_unavailable', detail, retryAfterSeconds: 2 })
  return Object.assign(problem, { cause })
}

/** What a setting can be: claims have any type. */
function isText(value: unknown): boolean {
  return typeof value === 'string' && !value.includes('\0') && value.isWellFormed()
}

interface Keys {
  readonly algorithms: string[]
  readonly keyFor: JWTVerifyGetKey
}

function secretKey({ secret = '', algorithms = ['HS256'] }: JwtOptions): Keys {
  const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret
  for (const name of algorithms) {
    const least = (secretBytes as Readonly<Record<string, number>>)[name]
    if (least === undefined) invalid(`algorithms of a secret are ${Object.keys(secretBytes).join(', ')}, not ${name}`)
    // RFC 7518, 3.2: a shorter one can be guessed from a single token, without asking us.
    if (bytes.byteLength < least)
      invalid(`secret must have at least ${least} bytes for ${name}: openssl rand -base64 48`)
  }
  const key: KeyObject = createSecretKey(bytes)
  return { algorithms: [...algorithms], keyFor: () => key }
}

/** Errors of a token, when its key is looked for; everything else is between us and who keeps the keys. */
const faultsOfTokens = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported]

function publicKeys({
  jwksUrl = '',
  algorithms = ['RS256', 'ES256', 'EdDSA'],
  jwksTimeoutMs = 3000,
}: JwtOptions): Keys {
  // A secret's algorithm beside public keys would let anybody sign: with the key that everybody knows.
  for (const name of algorithms) {
    if ((publicAlgorithms as readonly string[]).includes(name)) continue
    invalid(`algorithms of a jwksUrl are ${publicAlgorithms.join(', ')}, not ${name}`)
  }
  const url = URL.canParse(String(jwksUrl)) ? new URL(jwksUrl) : undefined
  const local = url?.protocol === 'http:' && isLoopback(url.hostname)
  if (!url || !(url.protocol === 'https:' || local)) {
    invalid('jwksUrl must be an https URL: who can change the keys on their way can sign any token')
  }
  const keys = issuerKeys(url, jwksTimeoutMs)
  const keyFor: JWTVerifyGetKey = (header, token) =>
    keys(header, token).catch((error: unknown) => {
      throw faultsOfTokens.some((kind) => error instanceof kind) ? error : keysUnavailable(error)
    })
  return { algorithms: [...algorithms], keyFor }
}

const jwtOptionNames = optionNames<JwtOptions>({
  secret: true,
  jwksUrl: true,
  algorithms: 'list',
  audience: true,
  issuer: true,
  clockToleranceSeconds: true,
  jwksTimeoutMs: true,
  roles: true,
  identityOf: 'function',
  anonymous: true,
})

function checkJwtOptions(options: JwtOptions): void {
  checkSettings('jwtIdentity', jwtOptionNames, options)
  const { secret, jwksUrl, algorithms, audience, issuer, roles, identityOf, anonymous } = options
  const { clockToleranceSeconds: tolerance = 0, jwksTimeoutMs = 1 } = options
  if ((secret === undefined) === (jwksUrl === undefined)) invalid('needs either a secret or a jwksUrl')
  if (algorithms?.length === 0) invalid('algorithms must name one at least')
  for (const [name, value] of Object.entries({ audience, issuer })) {
    if (typeof value !== 'string' || value === '') invalid(`needs ${name}, a text: tokens for others must not be taken`)
  }
  if (!(tolerance >= 0 && tolerance <= 300)) invalid('clockToleranceSeconds must be a number from 0 to 300')
  if (!(Number.isInteger(jwksTimeoutMs) && jwksTimeoutMs >= 1 && jwksTimeoutMs <= 60_000)) {
    invalid('jwksTimeoutMs must be a whole number from 1 to 60000')
  }
  if (!Array.isArray(roles) || roles.length === 0) invalid('needs roles, the names of those that a token may have')
  if (typeof identityOf !== 'function') invalid('needs identityOf, a function of the claims')
  if (anonymous) checkIdentity(anonymous)
  if (anonymous && anonymous.role === undefined) invalid('anonymous must have a role: without one it has every right')
}

function invalid(what: string): never {
  throw new ConfigInvalid(`jwtIdentity: ${what}`)
}
