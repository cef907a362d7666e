/**
 * SCRAM-SHA-256, the client's part: proves that it knows the password without sending it, and has the server prove the
 * same. With a hash of the server's certificate the proof is bound to the encrypted channel (SCRAM-SHA-256-PLUS), so that
 * a man in the middle with a certificate of his own cannot pass it on.
 * https://www.rfc-editor.org/rfc/rfc5802, https://www.postgresql.org/docs/current/sasl-authentication.html
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { ConfigInvalid } from '../errors.ts'

/** What the proof is bound to: a certificate's hash, nothing that the server offered, or nothing at all. */
export type Binding = Buffer | 'not offered' | 'none'

export class Scram {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'
  readonly #password: string
  readonly #header: string
  readonly #bound: Buffer
  readonly #nonce = randomBytes(18).toString('base64')
  #signature: Buffer | undefined

  constructor(password: string, binding: Binding) {
    this.#password = prepared(password)
    const bound = typeof binding !== 'string'
    this.mechanism = bound ? 'SCRAM-SHA-256-PLUS' : 'SCRAM-SHA-256'
    this.#header = bound ? 'p=tls-server-end-point,,' : binding === 'not offered' ? 'y,,' : 'n,,'
    this.#bound = Buffer.concat([Buffer.from(this.#header), bound ? binding : Buffer.alloc(0)])
  }

  /** The first message. The user's name is left out: the server has it from the start-up message. */
  get opening(): string {
    return `${this.#header}n=,r=${this.#nonce}`
  }

  /** The proof, for the server's first message. */
  async proof(challenge: string): Promise<string> {
    const nonce = attribute(challenge, 'r')
    const iterations = Number(attribute(challenge, 'i'))
    if (!nonce.startsWith(this.#nonce) || nonce === this.#nonce || !Number.isInteger(iterations) || iterations < 1) {
      throw unproven()
    }
    const salt = Buffer.from(attribute(challenge, 's'), 'base64')
    const salted = await promisify(pbkdf2)(this.#password, salt, iterations, 32, 'sha256')
    const withoutProof = `c=${this.#bound.toString('base64')},r=${nonce}`
    const everything = `n=,r=${this.#nonce},${challenge},${withoutProof}`
    const key = hmac(salted, 'Client Key')
    const mask = hmac(createHash('sha256').update(key).digest(), everything)
    this.#signature = hmac(hmac(salted, 'Server Key'), everything)
    const proof = Buffer.from(key.map((byte, at) => byte ^ (mask[at] ?? 0)))
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** Checks the server's last message. @throws ConfigInvalid when it does not know the password. */
  confirm(final: string): void {
    const signature = Buffer.from(attribute(final, 'v'), 'base64')
    const expected = this.#signature
    if (expected?.length !== signature.length || !timingSafeEqual(expected, signature)) throw unproven()
  }
}

function attribute(message: string, name: string): string {
  const found = message.split(',').find((each) => each.startsWith(`${name}=`))
  if (found === undefined) throw unproven()
  return found.slice(2)
}

function unproven(): ConfigInvalid {
  return new ConfigInvalid('the server could not prove that it knows the password: it may not be who it says it is')
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/** SASLprep, as far as Node knows Unicode; what it forbids is taken as it is, as PostgreSQL does. RFC 4013. */
function prepared(password: string): string {
  if (/^[\x20-\x7e]*$/.test(password)) return password
  const mapped = password
    .replaceAll(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ')
    .replaceAll(/\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g, '')
    .normalize('NFKC')
  return mapped === '' || /[\p{Cc}\p{Cf}\p{Co}\p{Cn}]/u.test(mapped) ? password : mapped
}
