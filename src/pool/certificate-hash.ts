/**
 * The hash of a server's certificate that SCRAM binds a proof to (tls-server-end-point): by the hash function of the
 * certificate's own signature, with SHA-256 in place of MD5 and SHA-1. Node 20 does not name a signature's algorithm, so
 * the certificate is read as far as that. https://www.rfc-editor.org/rfc/rfc5929#section-4
 */
import { createHash } from 'node:crypto'

/** Signature algorithm, by its object identifier in DER -> hash function. */
const hashes: Readonly<Record<string, string>> = {
  '2a864886f70d010104': 'sha256', // MD5 with RSA
  '2a864886f70d010105': 'sha256', // SHA-1 with RSA
  '2a864886f70d01010e': 'sha224',
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d0401': 'sha256', // SHA-1 with ECDSA
  '2a8648ce3d040301': 'sha224',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
}

const rsaPss = '2a864886f70d01010a'
/** Hash function within the parameters of RSA-PSS: the last byte of its object identifier. */
const pssHash = /060960864801650304020([123])/
const pssHashes = ['sha256', 'sha384', 'sha512']

/** The hash of a certificate in DER; undefined for signatures that stand for no hash function, such as Ed25519. */
export function certificateHash(der: Buffer): Buffer | undefined {
  const name = hashName(der)
  return name === undefined ? undefined : createHash(name).update(der).digest()
}

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, … }, signature }. */
function hashName(der: Buffer): string | undefined {
  const [certificate] = element(der, 0)
  const [, algorithmAt] = element(der, certificate)
  const [oidElement, algorithmEnd] = element(der, algorithmAt)
  const [oid, oidEnd] = element(der, oidElement)
  const algorithm = der.toString('hex', oid, oidEnd)
  if (algorithm !== rsaPss) return hashes[algorithm]
  const digit = pssHash.exec(der.toString('hex', oidEnd, algorithmEnd))?.[1]
  return pssHashes[Number(digit ?? 1) - 1]
}

/** Where the contents of the element at `at` begin, and where it ends. */
function element(der: Buffer, at: number): readonly [number, number] {
  const short = der[at + 1] ?? 0
  if (short < 0x80) return [at + 2, at + 2 + short]
  const digits = short & 0x7f
  const start = at + 2 + digits
  return [start, start + der.readUIntBE(at + 2, digits)]
}
