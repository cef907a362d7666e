/**
 * The message with which a client asks a PostgreSQL server for TLS before it says anything else; every server answers
 * with one byte, S or N. https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST
 */

/** Its length, 8, and its code, 80877103. */
export const sslRequest: Uint8Array = Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47)
