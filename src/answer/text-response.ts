/**
 * Answers whose text is known whole. Hono's adapter has a Response of its own that hands a text to the socket as it is; Node's
 * makes a stream of it first, which costs as much as a point read. The adapter gives it out in one way only, in the place
 * of the one that the whole process sees: it is taken from there once, and Node's is put back at once.
 */
import { getRequestListener } from '@hono/node-server'

export const TextResponse: typeof Response = responseOfAdapter()

function responseOfAdapter(): typeof Response {
  // Node makes its own when they are first looked at.
  void [globalThis.Request, globalThis.Response]
  const { Request: ownRequest, Response: ownResponse } = Object.getOwnPropertyDescriptors(globalThis)
  getRequestListener(() => undefined, { overrideGlobalObjects: true })
  const { Response: found } = globalThis
  Object.defineProperties(globalThis, { Request: ownRequest, Response: ownResponse })
  return found
}
