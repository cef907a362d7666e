/** Tokens as an issuer signs them, and a place where its public keys are. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, type JWTPayload, SignJWT } from 'jose'

/** What tokens of the tests are signed with, where they are signed with a secret. */
export const secret = 'a secret of the tests, of more than thirty-two bytes'
/** Who issues the tokens of the tests, and for whom. */
export const issuer = 'https://issuer.test'
/** Whom they are for. */
export const audience = 'rivulet'

/** The claims of a token that is valid for a minute; undefined takes one away. */
export function claimsOf(claims: JWTPayload = {}): JWTPayload {
  const now = Math.floor(Date.now() / 1000)
  return { iss: issuer, aud: audience, exp: now + 60, role: 'customer', sub: '1', ...claims }
}

/** A signed token. */
export function tokenOf(
  claims: JWTPayload = {},
  { alg = 'HS256', key = Buffer.from(secret), kid }: { alg?: string; key?: KeyObject | Uint8Array; kid?: string } = {},
): Promise<string> {
  return new SignJWT(claimsOf(claims)).setProtectedHeader({ alg, ...(kid ? { kid } : {}) }).sign(key)
}

/** A server of public keys that can be told to fail; it counts how often it is asked. */
export interface KeyServer extends AsyncDisposable {
  readonly url: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  asked: number
  /** What it does instead of answering the keys. */
  fails: 'no' | 'stalls' | 'status' | 'no json' | 'no keys'
}

/** Opens one whose only key is `one`, of RSA. */
export async function openKeyServer(): Promise<KeyServer> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }
  const server = createServer((_, response) => {
    keys.asked += 1
    if (keys.fails === 'stalls') return
    if (keys.fails === 'status') response.statusCode = 500
    const body = keys.fails === 'no keys' ? '{}' : JSON.stringify({ keys: [jwk] })
    response.end(keys.fails === 'no json' ? '<html>' : body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const keys: KeyServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    privateKey,
    publicKey,
    asked: 0,
    fails: 'no',
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return keys
}
