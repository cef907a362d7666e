/** JSON Web Tokens: what is taken, what is refused and how, and that a refusal says nothing of the token. */
import { generateKeyPairSync } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { assert, asyncProperty, json, nat, oneof, string, tuple } from 'fast-check'
import { type JWTPayload, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { products } from '../../schema/index.ts'
import { ConfigInvalid, UsageError } from '../../src/errors.ts'
import { requestEngine } from '../../src/http/access.ts'
import { createApp } from '../../src/http/app.ts'
import { openHttpServer } from '../../src/server/server.ts'
import { jwtIdentity, type JwtOptions } from '../../src/jwt/jwt-identity.ts'
import { resource } from '../../src/resource/resource.ts'
import { sender } from '../support/http-client.ts'
import { eventually } from '../support/invariants.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'
import { audience, claimsOf, issuer, type KeyServer, openKeyServer, secret, tokenOf } from '../support/tokens.ts'

let shop: TestShop
let keys: KeyServer
const faults: unknown[] = []

beforeAll(async () => {
  shop = await openTestShop()
  keys = await openKeyServer()
  await shop.engine.session(
    ({ sql }) => sql`do $$ begin create role rivulet_test_buyer; exception when others then null; end $$`,
  )
  await shop.engine.session(({ sql }) => sql`grant usage on schema public to rivulet_test_buyer`)
})
beforeEach(() => {
  keys.fails = 'no'
  keys.asked = 0
})
afterAll(async () => {
  await keys[Symbol.asyncDispose]()
  await shop[Symbol.asyncDispose]()
})

const rules: JwtOptions = {
  audience,
  issuer,
  roles: ['rivulet_test_buyer'],
  identityOf: ({ role, sub }) => ({
    role: role === 'customer' ? 'rivulet_test_buyer' : String(role),
    settings: { 'request.user': sub as string },
  }),
}

/** An application whose route says who asks. */
function appOf(options: Partial<JwtOptions>, requestTimeoutMs?: number) {
  const app = createApp(shop.engine, {
    identity: jwtIdentity({ ...rules, ...options }),
    resources: [resource(products)],
    onFault: (error) => faults.push(error),
    requestTimeoutMs,
  })
  return app.get('/who', async (context) => {
    const engine = await requestEngine(context, shop.engine)
    const [row] = await engine.session(
      ({ sql }) => sql`select current_user::text as role, current_setting('request.user', true) as id`,
    )
    return context.json(row)
  })
}

/** Sends a request with this header. */
async function ask(authorization: string | undefined, options: Partial<JwtOptions> = { secret }, timeoutMs?: number) {
  const send = sender(appOf(options, timeoutMs))
  return send('GET', '/who', undefined, authorization === undefined ? {} : { authorization })
}

const bySecret = { secret }
const byKeys = () => ({ jwksUrl: keys.url })
const buyer = { role: 'rivulet_test_buyer', id: '1' }

describe('a token', () => {
  test('that is signed with the secret is who asks', async () => {
    expect((await ask(`Bearer ${await tokenOf()}`)).json).toEqual(buyer)
    expect((await ask(`Bearer ${await tokenOf({ sub: '7', aud: ['other', audience] })}`)).json.id).toBe('7')
  })

  test.each(['bearer', 'BEARER', 'Bearer  '])('may stand behind the word %j', async (scheme) => {
    expect((await ask(`${scheme} ${await tokenOf()}`)).json).toEqual(buyer)
  })

  test('that is signed with a key of the URL is who asks, and the keys are fetched once', async () => {
    const app = sender(appOf(byKeys()))
    const authorization = `Bearer ${await tokenOf({}, { alg: 'RS256', key: keys.privateKey, kid: 'one' })}`
    const answers = await Promise.all([1, 2, 3].map(() => app('GET', '/who', undefined, { authorization })))
    expect(answers.map(({ json }) => json)).toEqual([buyer, buyer, buyer])
    await app('GET', '/who', undefined, { authorization })
    expect(keys.asked).toBe(1)
  })

  test('may be a little late for a clock that differs', async () => {
    const late = `Bearer ${await tokenOf({ exp: Math.floor(Date.now() / 1000) - 20 })}`
    expect(await ask(late)).toMatchObject({ status: 401 })
    expect(await ask(late, { secret, clockToleranceSeconds: 60 })).toMatchObject({ status: 200 })
  })

  test('is nobody’s without one, where the application says who that is', async () => {
    const anonymous = { role: 'rivulet_test_buyer', settings: { 'request.user': 'nobody' } }
    expect((await ask(undefined, { secret, anonymous })).json.id).toBe('nobody')
    const refused = await ask(undefined)
    expect(refused).toMatchObject({ status: 401, json: { code: 'token_required' } })
    expect(refused.headers.get('www-authenticate')).toBe('Bearer')
  })
})

const seconds = () => Math.floor(Date.now() / 1000)
const unsigned = (header: object, claims: object, signature = '') =>
  [JSON.stringify(header), JSON.stringify(claims)].map((part) => Buffer.from(part).toString('base64url')).join('.') +
  `.${signature}`

const publicPem = () => Buffer.from(keys.publicKey.export({ type: 'spki', format: 'pem' }) as string)
const otherKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const rs256 = (claims: JWTPayload, key = keys.privateKey, kid = 'one') => tokenOf(claims, { alg: 'RS256', key, kid })

describe('is refused with 401 invalid_token', () => {
  const invalid: [string, () => string | Promise<string>, (() => Partial<JwtOptions>)?][] = [
    ['alg none', () => new UnsecuredJWT(claimsOf()).encode()],
    ['alg None', () => unsigned({ alg: 'None' }, claimsOf())],
    ['alg none with a signature', async () => unsigned({ alg: 'none' }, claimsOf(), (await tokenOf()).split('.')[2])],
    ['alg none for keys of a URL', () => new UnsecuredJWT(claimsOf()).encode(), byKeys],
    ['no alg', () => unsigned({}, claimsOf(), 'AAAA')],
    ['an alg that is a number', () => unsigned({ alg: 1 }, claimsOf(), 'AAAA')],
    ['HS256 with the public key as its secret', () => tokenOf({}, { key: publicPem() }), byKeys],
    ['HS256 with the public key, and its kid', () => tokenOf({}, { key: publicPem(), kid: 'one' }), byKeys],
    ['another secret', () => tokenOf({}, { key: Buffer.from(`${secret}.`) })],
    ['HS512, which is not listed', () => tokenOf({}, { alg: 'HS512', key: Buffer.from(secret.repeat(2)) })],
    ['another key', () => rs256({}, otherKey), byKeys],
    ['a kid that nobody has', () => rs256({}, keys.privateKey, 'two'), byKeys],
    ['a kid that is a path', () => rs256({}, keys.privateKey, '../../etc/passwd'), byKeys],
    ['RS384, which is not listed', () => tokenOf({}, { alg: 'RS384', key: keys.privateKey, kid: 'one' }), byKeys],
    [
      'a key of its own in the header',
      () => unsigned({ alg: 'HS256', jwk: { kty: 'oct', k: 'AA' } }, claimsOf(), 'AA'),
    ],
    ['a critical header that is unknown', () => unsigned({ alg: 'HS256', crit: ['x'], x: 1 }, claimsOf(), 'AA')],
    ['expired', () => tokenOf({ exp: seconds() - 60 })],
    ['no exp', () => tokenOf({ exp: undefined } as never)],
    ['exp as a text', () => tokenOf({ exp: '9999999999' } as never)],
    ['not yet valid', () => tokenOf({ nbf: seconds() + 60 })],
    ['nbf as a text', () => tokenOf({ nbf: 'now' } as never)],
    ['another audience', () => tokenOf({ aud: 'other' })],
    ['no audience', () => tokenOf({ aud: undefined } as never)],
    ['an audience that is an object', () => tokenOf({ aud: { 0: audience } } as never)],
    ['another issuer', () => tokenOf({ iss: 'https://issuer.test.evil' })],
    ['no issuer', () => tokenOf({ iss: undefined } as never)],
    ['a longer signature', async () => `${await tokenOf()}A`],
    [
      'changed claims',
      async () => {
        const [header, , signature] = (await tokenOf()).split('.')
        return `${header}.${Buffer.from(JSON.stringify(claimsOf({ sub: '2' }))).toString('base64url')}.${signature}`
      },
    ],
    ['no signature', async () => (await tokenOf()).replace(/[^.]*$/, '')],
    ['two parts', async () => (await tokenOf()).replace(/\.[^.]*$/, '')],
    ['four parts', async () => `${await tokenOf()}.AAAA`],
    ['five parts, as if encrypted', () => 'e30.e30.e30.e30.e30'],
    ['a word', () => 'token'],
    ['dots', () => '..'],
    ['a header that is no JSON', () => 'AAAA.AAAA.AAAA'],
    ['claims that are a list', () => unsigned({ alg: 'HS256' }, [], 'AA')],
    ['100 kB', () => `${'a'.repeat(100_000)}`],
    ['100 kB of claims', () => tokenOf({ note: 'x'.repeat(100_000) })],
    ['no sub where it is needed', () => tokenOf({ sub: undefined } as never)],
    ['a sub that is a number', () => tokenOf({ sub: 1 } as never)],
    ['a sub with NUL', () => tokenOf({ sub: 'a\0b' })],
    ['a sub with half a character', () => tokenOf({ sub: '\ud800' })],
  ]

  test.each(invalid)('%s', async (_, make, options = () => bySecret) => {
    const token = await make()
    const answer = await ask(`Bearer ${token}`, options())
    expect(answer).toMatchObject({ status: 401, json: { code: 'invalid_token' } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    const told = answer.text + JSON.stringify([...answer.headers])
    for (const part of token.split('.').filter((each) => each.length > 8)) expect(told).not.toContain(part)
    expect(Object.keys(answer.json)).toEqual(['type', 'title', 'status', 'code', 'detail', 'requestId'])
  })

  test('and all of them with one text', async () => {
    const details = new Set<string>()
    for (const [, make, options = () => bySecret] of invalid) {
      details.add((await ask(`Bearer ${await make()}`, options())).json.detail)
    }
    expect(details.size).toBe(1)
  })
})

describe('a role that is not listed is refused with 403', () => {
  test.each([
    ['postgres'],
    ['rivulet_test_buyer; drop table products; --'],
    [`x'; set role postgres; --`],
    ['none'],
    ['RIVULET_TEST_BUYER'],
    ['rivulet_test_buyer\0'],
    [''],
    ['__proto__'],
    [['rivulet_test_buyer']],
    [{ role: 'customer' }],
    [null],
    [1],
  ])('%j', async (role) => {
    const answer = await ask(`Bearer ${await tokenOf({ role } as never)}`, {
      secret,
      identityOf: (claims) => ({ role: claims.role as string, settings: { 'request.user': String(claims.sub) } }),
    })
    expect(answer).toMatchObject({ status: 403, json: { code: 'insufficient_scope' } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope"')
    expect(answer.text).not.toContain('postgres')
  })

  test('so is a missing one, which would be the rights of the service', async () => {
    const options = { secret, identityOf: () => ({ settings: { 'request.user': '1' } }) }
    expect(await ask(`Bearer ${await tokenOf()}`, options)).toMatchObject({ status: 403 })
  })
})

/** What a header says: the last character of a part in base64 may be one of several, and padding may follow it. */
function bytesOf(header: string): string {
  const parts = header
    .trim()
    .replace(/^Bearer +/, '')
    .split('.')
  return parts.map((part) => Buffer.from(part, 'base64url').toString('hex')).join('.')
}

describe('a header', () => {
  test.each([
    ['Bearer'],
    ['Bearer '],
    [''],
    ['Bearer a b'],
    ['Bearer "a"'],
    ['Bearer a,b'],
    ['Bearer a, Bearer b'],
    ['Bearer a; b'],
    ['Bearer ü'],
    ['Bearer =a'],
  ])('%j is malformed: 400', async (header) => {
    const answer = await ask(header, { secret, anonymous: { role: 'rivulet_test_buyer' } })
    expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_request' } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_request"')
  })

  test.each([['Basic dXNlcjpwYXNz'], ['Digest username="x"'], ['Negotiate abc'], ['e30.e30.e30']])(
    '%j is of another scheme: 401, also where nobody may ask',
    async (header) => {
      const answer = await ask(header, { secret, anonymous: { role: 'rivulet_test_buyer' } })
      expect(answer).toMatchObject({ status: 401, json: { code: 'token_required' } })
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    },
  )

  test('that stands there twice is a 400, also where both are valid', async () => {
    await using server = await openHttpServer(appOf(bySecret), { port: 0 })
    const token = await tokenOf()
    const status = await new Promise((resolve, reject) => {
      const lines = ['Host', 'x', 'Authorization', `Bearer ${token}`, 'Authorization', `Bearer ${token}`]
      httpRequest({ port: server.port, path: '/who', headers: lines }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
    expect(status).toBe(400)
  })

  test('of any text is answered with 400 or 401, and no fault of the service', async () => {
    const send = sender(appOf(bySecret))
    const valid = await tokenOf()
    const anything = oneof(
      string({ maxLength: 300 }),
      tuple(nat(valid.length), string({ maxLength: 3 })).map(([at, put]) => {
        return `Bearer ${valid.slice(0, at)}${put}${valid.slice(at + 1)}`
      }),
      tuple(json(), json()).map(([header, claims]) => {
        return `Bearer ${[header, claims, 'x'].map((part) => Buffer.from(part).toString('base64url')).join('.')}`
      }),
    )
    const header = anything.filter(
      (text) => /^[\x20-\x7e]*$/.test(text) && bytesOf(text) !== bytesOf(`Bearer ${valid}`),
    )
    await assert(
      asyncProperty(header, async (authorization) => {
        const { status } = await send('GET', '/who', undefined, { authorization })
        expect([400, 401]).toContain(status)
      }),
      { numRuns: 300 },
    )
  })
})

describe('keys that cannot be had are a 503 with Retry-After', () => {
  test.each(['status', 'no json', 'no keys'] as const)('%s', async (fails) => {
    keys.fails = fails
    const answer = await ask(`Bearer ${await rs256({})}`, byKeys())
    expect(answer).toMatchObject({ status: 503, json: { code: 'keys_unavailable' } })
    expect(answer.headers.get('retry-after')).toBe('2')
    expect(answer.headers.has('www-authenticate')).toBe(false)
  })

  test('nobody listens', async () => {
    const answer = await ask(`Bearer ${await rs256({})}`, { jwksUrl: 'http://127.0.0.1:1/keys' })
    expect(answer).toMatchObject({ status: 503, json: { code: 'keys_unavailable' } })
  })

  test('no answer comes within its time, or that of the request', async () => {
    keys.fails = 'stalls'
    const authorization = `Bearer ${await rs256({})}`
    expect(await ask(authorization, { ...byKeys(), jwksTimeoutMs: 50 })).toMatchObject({ status: 503 })
    expect(await ask(authorization, { ...byKeys(), jwksTimeoutMs: 60_000 }, 50)).toMatchObject({ status: 503 })
  })

  test('and the next request succeeds when they can be had again', async () => {
    const send = sender(appOf(byKeys()))
    const authorization = `Bearer ${await rs256({})}`
    keys.fails = 'status'
    expect(await send('GET', '/who', undefined, { authorization })).toMatchObject({ status: 503 })
    keys.fails = 'no'
    expect(await send('GET', '/who', undefined, { authorization })).toMatchObject({ status: 200 })
  })

  test('but those of before are good for a day, and are asked for behind the requests', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      const send = sender(appOf(byKeys()))
      const authorization = `Bearer ${await rs256({ exp: seconds() + 3 * 86_400 })}`
      const statusAfter = async (minutes: number) => {
        vi.setSystemTime(Date.now() + minutes * 60_000)
        return (await send('GET', '/who', undefined, { authorization })).status
      }
      const asked = (times: number) => eventually(() => expect(keys.asked).toBe(times))
      expect(await statusAfter(0)).toBe(200)
      keys.fails = 'status'
      expect(await statusAfter(11)).toBe(200)
      await asked(2)
      // Not for every request.
      expect(await statusAfter(0)).toBe(200)
      expect(await statusAfter(1)).toBe(200)
      await asked(3)
      keys.fails = 'no'
      expect(await statusAfter(1)).toBe(200)
      await asked(4)
      keys.fails = 'status'
      expect(await statusAfter(25 * 60)).toBe(503)
    } finally {
      vi.useRealTimers()
    }
  })

  test('but what is no token of theirs never asks for them', async () => {
    keys.fails = 'status'
    expect(await ask(`Bearer ${await tokenOf()}`, byKeys())).toMatchObject({ status: 401 })
    expect(keys.asked).toBe(0)
  })
})

describe('options that protect nothing are refused at once', () => {
  test.each<[string, Partial<JwtOptions>]>([
    ['no secret and no URL', {}],
    ['both', { secret, jwksUrl: 'https://issuer.test/keys' }],
    ['an empty secret', { secret: '' }],
    ['a short secret', { secret: 'x'.repeat(31) }],
    ['short bytes', { secret: new Uint8Array(31) }],
    ['a secret too short for HS512', { secret, algorithms: ['HS512'] }],
    ['a public key’s algorithm for a secret', { secret, algorithms: ['RS256'] }],
    ['a secret’s algorithm for public keys', { jwksUrl: 'https://issuer.test/keys', algorithms: ['RS256', 'HS256'] }],
    ['none', { secret, algorithms: ['none' as never] }],
    ['no algorithm', { secret, algorithms: [] }],
    ['http elsewhere', { jwksUrl: 'http://issuer.test/keys' }],
    ['no URL', { jwksUrl: 'issuer.test' }],
    ['a file', { jwksUrl: 'file:///etc/keys' }],
    ['no audience', { secret, audience: undefined as never }],
    ['an empty audience', { secret, audience: '' }],
    ['no issuer', { secret, issuer: undefined as never }],
    ['no roles', { secret, roles: [] }],
    ['no function', { secret, identityOf: undefined as never }],
    ['a tolerance of a day', { secret, clockToleranceSeconds: 86_400 }],
    ['a tolerance that is no number', { secret, clockToleranceSeconds: Number.NaN }],
    ['no time for keys', { jwksUrl: 'https://issuer.test/keys', jwksTimeoutMs: 0 }],
    ['an anonymous without a role', { secret, anonymous: { settings: { 'a.b': 'c' } } }],
    ['a misspelt option', { secret, audiences: ['x'] } as never],
  ])('%s', (_, options) => {
    const make = () => jwtIdentity({ ...rules, ...options })
    expect(make).toThrow(ConfigInvalid)
    expect(make).not.toThrow(secret)
  })

  test('an anonymous identity that is none', () => {
    expect(() => jwtIdentity({ ...rules, secret, anonymous: { roll: 'x' } as never })).toThrow(UsageError)
  })
})

test('no request of this file was a fault of the service but the keys', () => {
  expect(faults.filter((error) => (error as { code?: string }).code !== 'keys_unavailable')).toEqual([])
})
