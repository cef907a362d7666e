/** Reads and writes `bytea` as text. https://www.postgresql.org/docs/current/datatype-binary.html */

/** Bytes in the hex format, which every server reads. */
export function bytesText(bytes: Uint8Array): string {
  return `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`
}

/** Reads bytes in either format of `bytea_output`. */
export function readBytes(text: string): Buffer {
  return text.startsWith('\\x') ? Buffer.from(text.slice(2), 'hex') : escapedBytes(text)
}

function escapedBytes(text: string): Buffer {
  const unescaped = text.replaceAll(/\\(\\|[0-7]{3})/g, (_, code: string) =>
    code === '\\' ? code : String.fromCharCode(Number.parseInt(code, 8)),
  )
  return Buffer.from(unescaped, 'latin1')
}
