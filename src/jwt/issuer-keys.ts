/**
 * The keys of an issuer, as it publishes them (RFC 7517). They are asked for with the first token and for a key that is not
 * known; after that from time to time, which no request waits for. While nobody answers, those of the last answer are good for
 * a day: an issuer that is away for an hour must not stop the service.
 */
import { createRemoteJWKSet } from 'jose'

type RemoteKeys = ReturnType<typeof createRemoteJWKSet>

/** Milliseconds until keys are asked for again, after an answer and after none; how long those of an answer are good. */
const [renewAfter, retryAfter, goodFor] = [600_000, 30_000, 86_400_000]

/** Finds the key of a token. It rejects with jose's errors, and with those of `fetch`. */
export function issuerKeys(url: URL, timeoutMs: number): (...token: Parameters<RemoteKeys>) => ReturnType<RemoteKeys> {
  const remote = createRemoteJWKSet(url, { timeoutDuration: timeoutMs, cacheMaxAge: goodFor })
  let renewAt = 0
  const answered = () => void (renewAt = Date.now() + renewAfter)
  const renew = () => {
    if (Date.now() < renewAt) return
    renewAt = Date.now() + retryAfter
    remote.reload().then(answered, () => undefined)
  }
  return (...token) => {
    // Those that are too old are asked for by jose, and waited for.
    if (remote.fresh) renew()
    else answered()
    return remote(...token)
  }
}
