/** Which names and addresses lead to this machine only. */

const loopback = /^(?:localhost|(?:::ffff:)?127(?:\.\d{1,3}){3}|::1|\[::1\])$/i

/** True for the name or address of a host, one of IPv6 with brackets or without, that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return loopback.test(host)
}
