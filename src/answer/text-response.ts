/**
 * Answers whose text is known whole. Hono's adapter has a Response of its own that hands a text to the socket as it is, with
 * its headers, if they are plain text as well; Node's makes a stream and `Headers` of them first, which costs as much as a
 * point read. The adapter gives it out in one way only, in the place of the one that the whole process sees: it is taken
 * from there once, and Node's is put back at once.
 */
import { getRequestListener } from '@hono/node-server'

/** What browsers need to know of answers that are no pages; those that are have a policy of their own. */
const browserHeaders = {
  // Whether all of a host speaks TLS is for what ends TLS to say: no Strict-Transport-Security.
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** The adapter's Response: what is a property of others is an accessor in it. */
interface ResponseOfAdapter extends Omit<Response, 'headers'> {
  get headers(): Headers
}

const AdapterResponse = responseOfAdapter() as unknown as new (
  text: string | null,
  init: ResponseInit,
) => ResponseOfAdapter

export class TextResponse extends AdapterResponse {
  /** As the adapter will send them; undefined once somebody has asked for `Headers`, which they are from then on. */
  #plain: Record<string, string> | undefined

  /** The names of `headers` are in lower case. */
  constructor(text: string | null, status: number, headers: Readonly<Record<string, string>>) {
    // V8 takes ten times as long for the same by spreads.
    const all: Record<string, string> = Object.assign({}, browserHeaders, headers)
    super(text, { status, headers: all })
    this.#plain = all
  }

  override get headers(): Headers {
    this.#plain = undefined
    return super.headers
  }

  /** A header by its name in lower case; the same as `headers.get(name)`. */
  header(name: string): string | null {
    return this.#plain ? (this.#plain[name] ?? null) : this.headers.get(name)
  }

  setHeader(name: string, text: string): void {
    if (this.#plain) this.#plain[name] = text
    else this.headers.set(name, text)
  }
}

/** A text of a type as an answer, with its length, which the answer to HEAD has as well; names of headers are in lower case. */
export function textResponse(text: string, type: string, headers: Readonly<Record<string, string>> = {}): TextResponse {
  const length = String(Buffer.byteLength(text))
  return new TextResponse(text, 200, { 'content-type': type, 'content-length': length, ...headers })
}

/** Sets a header, its name in lower case, of any answer. */
export function setHeader(response: Response, name: string, text: string): void {
  if (response instanceof TextResponse) response.setHeader(name, text)
  else response.headers.set(name, text)
}

/** Adds what a browser needs to know to any answer that does not say it itself. */
export function addBrowserHeaders(response: Response): void {
  if (response instanceof TextResponse) return
  for (const [name, text] of Object.entries(browserHeaders)) {
    if (!response.headers.has(name)) response.headers.set(name, text)
  }
}

function responseOfAdapter(): typeof Response {
  // Node makes its own when they are first looked at.
  void [globalThis.Request, globalThis.Response]
  const { Request: ownRequest, Response: ownResponse } = Object.getOwnPropertyDescriptors(globalThis)
  getRequestListener(() => undefined, { overrideGlobalObjects: true })
  const { Response: found } = globalThis
  Object.defineProperties(globalThis, { Request: ownRequest, Response: ownResponse })
  return found
}
