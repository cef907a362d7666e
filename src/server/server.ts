/**
 * An application on a port of this machine.
 *
 *   listening ──close()──▶ draining ──last answer sent, or time up──▶ closed
 *
 * Draining takes no new connections, closes the idle ones and streams of events, and ends each of the others with its
 * answer. When the time is up what is left is cut off, which aborts those requests' signals and so stops their work on
 * the database.
 *
 * What never becomes a request of the application is answered here, as a problem document like everything else: no HTTP,
 * headers that are too long or too slow, a Host that is missing, doubled, malformed or not that of the target, a body
 * without a length, an expectation that is not met, a tunnel. https://www.rfc-editor.org/rfc/rfc9112
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener, RequestError } from '@hono/node-server'
import { isLoopback } from '../address/loopback.ts'
import { ConfigInvalid, PortUnavailable, UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import { asksWho } from './asking.ts'
import { isEndless } from './endless.ts'
import { Problem, problemOf, problemResponse } from '../answer/problem.ts'

/** Options of `openHttpServer`. */
export interface HttpServerOptions {
  /** 0 to 65535; 0: any free one. */
  readonly port: number
  /** The address to listen on. Default 127.0.0.1: this machine only. */
  readonly hostname?: string | undefined
  /**
   * True: may be reached from other machines although the application has no `identity`, so that anybody may do anything; for
   * one behind something else that knows who asks. Default false.
   */
  readonly insecure?: boolean | undefined
  /** Milliseconds the headers of a request may take to arrive. Default 10,000. */
  readonly headersTimeoutMs?: number | undefined
}

const closeNames = optionNames<{ timeoutMs: number }>({ timeoutMs: 'number' })
const ownNames = { port: 'number', hostname: 'string', insecure: 'boolean', headersTimeoutMs: 'number' } as const
const serverNames = optionNames<HttpServerOptions>(ownNames)

/** A listening server; close it. */
export interface HttpServer extends AsyncDisposable {
  /** `http://127.0.0.1:3000` */
  readonly url: string
  readonly port: number
  /**
   * Stops listening and resolves when every request has been answered, or cut off after `timeoutMs` (default 10,000).
   * A second call with less time hurries the first.
   */
  close(options?: { readonly timeoutMs?: number | undefined }): Promise<void>
}

/** Bodies are bounded where they are read; this is for those that nobody reads, and longer than an upload of rows takes. */
const requestTimeout = 3_600_000

/** Listens. @throws PortUnavailable when it is taken or may not be used; UsageError; ConfigInvalid. */
export async function openHttpServer(
  app: { fetch(request: Request, env?: object): Response | Promise<Response> },
  options: HttpServerOptions,
): Promise<HttpServer> {
  checkOptions('openHttpServer', serverNames, options)
  const { port, hostname = '127.0.0.1', insecure = false, headersTimeoutMs = 10_000 } = options
  if (!Number.isInteger(port) || port > 65_535) throw new UsageError('port must be 0 to 65535; 0 is any free one')
  if (typeof app?.fetch !== 'function') throw new UsageError('openHttpServer takes an application of createApp first')
  if (!insecure && !isLoopback(hostname) && !asksWho(app)) {
    throw new ConfigInvalid(
      `${hostname} may be reached from other machines, and the application does not ask who is there: give createApp an ` +
        'identity, or listen on 127.0.0.1; insecure (--insecure on the command line) lets anybody do anything',
    )
  }
  // Node's own Request and Response stay as they are: the rest of the process is none of our business.
  const adapterOptions = { overrideGlobalObjects: false, errorHandler, hostname: 'localhost' }
  const listener = getRequestListener((request, env) => app.fetch(request, env), adapterOptions)
  const server = createServer(
    // Node's own answers have no body.
    { requireHostHeader: false, headersTimeout: headersTimeoutMs, requestTimeout, connectionsCheckingInterval: 500 },
    (incoming, outgoing) => {
      const fault = faultOf(incoming)
      void (fault ? answer(outgoing, fault) : listener(incoming, outgoing))
    },
  )
  // Node would leave out what comes after the 2,000th, and a condition or a second Host with it; their bytes are bounded.
  server.maxHeadersCount = 0
  server.on('checkExpectation', (_, outgoing) => {
    void answer(outgoing, malformed(417, 'the only expectation that is met is 100-continue'))
  })
  server.on('connect', (_, socket) => {
    void refuse(tunnel, socket, () => false)
  })
  const close = prepareDrain(server)
  await listening(server, port, hostname)
  const bound = (server.address() as AddressInfo).port
  const host = hostname.includes(':') ? `[${hostname}]` : hostname
  return { url: `http://${host}:${bound}`, port: bound, close, [Symbol.asyncDispose]: () => close() }
}

function listening(server: Server, port: number, hostname: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const refused = (cause: NodeJS.ErrnoException) => reject(listenError(cause, port, hostname))
    server.once('error', refused)
    server.listen(port, hostname, () => {
      server.off('error', refused)
      // A connection that could not be accepted, for want of file descriptors say, must not end the process.
      server.on('error', (error) => process.emitWarning(`the HTTP server: ${error.message}`))
      resolve()
    })
  })
}

function listenError(cause: NodeJS.ErrnoException, port: number, hostname: string): Error {
  const where = `port ${port} of ${hostname}`
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `${where} is taken: stop what listens there, or give openHttpServer another port`,
    EACCES: `${where} may not be used by this user: give openHttpServer one from 1024`,
  }
  if (cause.code === 'EADDRNOTAVAIL') return new ConfigInvalid(`${hostname} is no address of this machine`, { cause })
  const reason = reasons[cause.code ?? ''] ?? `cannot listen on ${where}: ${cause.message}`
  return new PortUnavailable(reason, { cause, port })
}

/** Watches the answers under way; answers what drains the server. */
function prepareDrain(server: Server): HttpServer['close'] {
  const underWay = new Set<ServerResponse>()
  let closed: Promise<void> | undefined
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    void refuse(malformed(refusals[error.code ?? ''] ?? 400), socket, () =>
      [...underWay].some((answer) => answer.socket === socket && answer.headersSent),
    )
  })
  server.prependListener('request', (_, response) => {
    underWay.add(response)
    if (closed) endConnection(response)
    response.once('close', () => {
      underWay.delete(response)
      // One whose headers had been sent left its connection open for more requests.
      if (closed) setImmediate(() => server.closeIdleConnections())
    })
  })
  return async (options = {}) => {
    checkOptions('close', closeNames, options)
    const { timeoutMs = 10_000 } = options
    closed ??= new Promise((resolve) => server.close(() => resolve()))
    for (const response of underWay) endConnection(response)
    const timer = setTimeout(() => server.closeAllConnections(), timeoutMs)
    await closed
    clearTimeout(timer)
  }
}

function endConnection(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close')
  // Who listens to events connects anew, to whatever serves then.
  else if (isEndless(response)) response.destroy()
}

function errorHandler(error: unknown): Response {
  return problemResponse(error instanceof RequestError ? malformed(400) : problemOf(error))
}

/** The statuses that Node itself gives to what its parser or its patience refuses; everything else is 400. */
const refusals: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/** Answers what is no request, and ends its connection; one on which an answer has begun just ends. */
async function refuse(problem: Problem, socket: Duplex, answering: () => boolean): Promise<void> {
  const response = problemResponse(problem)
  const body = await response.text()
  if (answering() || !socket.writable) return void socket.destroy()
  const { status } = response
  const headers = [...response.headers, ['connection', 'close']]
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...headers.map(([name, value]) => `${name}: ${value}`)]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

/** Answers a request that the application must not see; what follows on its connection may be anything. */
async function answer(outgoing: ServerResponse, problem: Problem): Promise<void> {
  const response = problemResponse(problem)
  outgoing.writeHead(problem.status, { ...Object.fromEntries(response.headers), connection: 'close' })
  outgoing.end(await response.text())
}

const hostPattern = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i

/** Why a request that the parser took is none all the same. */
function faultOf({ httpVersion, headers, rawHeaders, method = '', url = '' }: IncomingMessage): Problem | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return malformed(505, 'this is a server of HTTP/1.1')
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length
  const { host } = headers
  if (hosts > 1) return malformed(400, 'there are several Host headers')
  if (host === undefined && httpVersion !== '1.0') return malformed(400, 'there is no Host header')
  if (host !== undefined && !hostPattern.test(host)) return malformed(400, 'the Host header is malformed')
  const [, target] = /^https?:\/\/([^/?#]*)/i.exec(url) ?? []
  if (target !== undefined && host !== undefined && target.toLowerCase() !== host.toLowerCase()) {
    return malformed(400, 'the Host header is not that of the target')
  }
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
  if (hasBody || !['POST', 'PUT', 'PATCH'].includes(method)) return undefined
  return malformed(411, `a ${method} needs a content-length, be it 0`)
}

function malformed(status: number, detail = 'look at the first line and the headers'): Problem {
  return new Problem({ status, code: 'malformed_request', detail: `this request cannot be understood: ${detail}` })
}

const tunnel = new Problem({
  status: 405,
  code: 'method_not_allowed',
  detail: 'this server is not a proxy: CONNECT is not supported',
  headers: { allow: 'GET, HEAD, POST, PUT, PATCH, DELETE' },
})
