/**
 * A TCP proxy on loopback that stands between an engine and its server and does what networks do: cut, reset, stall,
 * delay, slice, refuse, talk garbage. Each connection through it is a link with its own faults, changed at run time.
 *
 * It counts what passes. A round trip is one alternation: data from the client, then data from the server; statements
 * sent together before the server answers are therefore one.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { ServerAddress } from '../../src/address/server-address.ts'
import { parseDatabaseUrl } from '../../src/config.ts'

/** What a new link does before any byte has passed. */
export type Opening = 'pass' | 'end' | 'reset' | 'silence' | 'garbage' | 'end after first answer' | 'half an answer'

export type Side = 'client' | 'server'

/** Sees a chunk on its way and answers what travels on; undefined drops it. */
export type Tap = (chunk: Buffer, from: Side, link: Link) => Buffer | undefined

/** One connection through the proxy. */
export class Link {
  readonly client: Socket
  readonly number: number
  server: Socket | undefined
  bytes = 0
  roundTrips = 0
  /** Milliseconds every chunk is held back. */
  delayMs = 0
  /** One byte a write, when true. */
  sliced = false
  /** When true, everything is swallowed, both ways, and nobody is told. */
  stalled = false
  tap: Tap | undefined
  #clientSpoke = false

  constructor(client: Socket, number: number) {
    this.client = client
    this.number = number
    client.setNoDelay(true)
    client.on('error', () => undefined)
  }

  get open(): boolean {
    return !this.client.destroyed
  }

  join(server: Socket): void {
    this.server = server
    server.setNoDelay(true)
    server.on('error', () => undefined)
    this.#pipe(this.client, server, 'client')
    this.#pipe(server, this.client, 'server')
    this.client.on('close', () => server.destroy())
    // While stalled, even the end of the other side is kept secret: that is what a black hole does.
    server.on('close', () => this.stalled || this.client.destroy())
    server.on('end', () => this.stalled || this.client.end())
  }

  /** Closes both sides with FIN. */
  cut(): void {
    this.client.end()
    this.client.destroy()
    this.server?.destroy()
  }

  /** Closes the client's side with RST. */
  reset(): void {
    this.client.resetAndDestroy()
    this.server?.destroy()
  }

  /** Becomes a black hole: both sides stay connected and hear nothing any more. */
  stall(): void {
    this.stalled = true
  }

  /** Sends the client bytes that no server would send. */
  talkGarbage(): void {
    this.client.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n\0\xff\xfe garbage'.repeat(4), 'latin1'))
  }

  #pipe(from: Socket, to: Socket, side: Side): void {
    from.on('data', (chunk: Buffer) => {
      if (this.stalled) return
      this.#count(chunk, side)
      const rest = this.tap ? this.tap(chunk, side, this) : chunk
      if (rest === undefined || rest.length === 0) return
      if (this.delayMs > 0) setTimeout(() => this.#write(to, rest), this.delayMs)
      else this.#write(to, rest)
    })
  }

  #write(to: Socket, chunk: Buffer): void {
    if (this.stalled || to.destroyed || !to.writable) return
    if (!this.sliced) return void to.write(chunk)
    for (let at = 0; at < chunk.length; at++) to.write(chunk.subarray(at, at + 1))
  }

  #count(chunk: Buffer, side: Side): void {
    this.bytes += chunk.length
    if (side === 'client') this.#clientSpoke = true
    else if (this.#clientSpoke) {
      this.#clientSpoke = false
      this.roundTrips += 1
    }
  }
}

export class FaultProxy implements AsyncDisposable {
  #forgotten = 0
  /** Every link there ever was, in order, but for those forgotten. */
  readonly links: Link[] = []
  /** What the next links do before any byte has passed. */
  opening: Opening = 'pass'
  /** Called with every new link, to give it faults from the start. */
  onLink: ((link: Link) => void) | undefined
  /** Connections asked for, refused ones not included: the kernel refuses those. */
  get connections(): number {
    return this.#forgotten + this.links.length
  }
  #target: ServerAddress
  #server: Server | undefined
  #port = 0

  constructor(targetUrl: string) {
    this.#target = parseDatabaseUrl(targetUrl)
  }

  /** The URL that leads to the server through this proxy. */
  get url(): string {
    const { user, password, database } = this.#target
    const who = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
    return `postgres://${who}@127.0.0.1:${this.#port}/${encodeURIComponent(database)}?sslmode=disable`
  }

  get openLinks(): Link[] {
    return this.links.filter((link) => link.open)
  }

  /** Drops the links that have closed, for tests that open thousands. */
  forgetClosed(): void {
    const open = this.openLinks
    this.#forgotten += this.links.length - open.length
    this.links.splice(0, this.links.length, ...open)
  }

  /** Round trips over all links so far. */
  get roundTrips(): number {
    return this.links.reduce((sum, link) => sum + link.roundTrips, 0)
  }

  /**
   * Round trips that `work` needs: the fewest of five runs. What is sent together may arrive in parts, and be answered
   * in parts, without anybody having waited for an answer.
   */
  async countRoundTrips(work: () => Promise<unknown>): Promise<number> {
    let fewest = Infinity
    for (let run = 0; run < 5; run++) {
      const before = this.roundTrips
      await work()
      fewest = Math.min(fewest, this.roundTrips - before)
    }
    return fewest
  }

  /** Sends later links to another server. */
  retarget(url: string): void {
    this.#target = parseDatabaseUrl(url)
  }

  /** Takes connections again, on the same port as before. */
  async accept(): Promise<void> {
    if (this.#server) return
    const server = createServer({ allowHalfOpen: false }, (client) => this.#welcome(client))
    server.listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    this.#port = (server.address() as AddressInfo).port
    this.#server = server
  }

  /** From now on connecting is refused; what is connected stays. */
  async refuse(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    // Resolves only when the last link has gone; the port is closed at once.
    server?.close()
    await new Promise(setImmediate)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse()
    for (const link of this.links) link.reset()
  }

  #welcome(client: Socket): void {
    const link = new Link(client, this.connections)
    this.links.push(link)
    this.onLink?.(link)
    switch (this.opening) {
      case 'end':
        return void client.resume().end()
      case 'reset':
        return void client.resetAndDestroy()
      case 'silence':
        return void client.resume()
      case 'garbage':
        client.resume()
        return link.talkGarbage()
      case 'end after first answer':
        link.tap = cutAfterFirstAnswer
        break
      case 'half an answer':
        link.tap = halfAnAnswer
        break
      case 'pass':
        break
    }
    const { host, port } = this.#target
    const server = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
    link.join(server)
  }
}

/** Opens a proxy before the server of `targetUrl`. */
export async function openFaultProxy(targetUrl: string): Promise<FaultProxy> {
  const proxy = new FaultProxy(targetUrl)
  await proxy.accept()
  return proxy
}

/** Cuts the link when the server's answer to COMMIT comes by, and lets what precedes it through. */
export const losesTheAnswer: Tap = (chunk, from, link) => {
  const at = from === 'server' ? chunk.indexOf('COMMIT\0', 0, 'latin1') : -1
  if (at < 0) return chunk
  setImmediate(() => link.cut())
  return chunk.subarray(0, at - 5)
}

/** Cuts the link before COMMIT reaches the server. */
export const losesTheRequest: Tap = (chunk, from, link) => {
  const at = from === 'client' ? chunk.indexOf('commit\0', 0, 'latin1') : -1
  if (at < 0) return chunk
  setImmediate(() => link.cut())
  return chunk.subarray(0, at - 5)
}

/** Holds requests to stop a statement back for so long, as a busy server does; they arrive whether their sender waits or not. */
export function delaysCancels(targetUrl: string, delayMs: number): Tap {
  const { host, port } = parseDatabaseUrl(targetUrl)
  return (chunk, from, link) => {
    if (from !== 'client' || chunk.length !== 16 || chunk.readInt32BE(4) !== cancelRequestCode) return chunk
    setTimeout(() => {
      if (link.open) return void link.server?.write(chunk)
      const server = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
      server.on('error', () => undefined).end(chunk)
    }, delayMs)
    return undefined
  }
}

const cancelRequestCode = 80_877_102

/** FIN in the middle of the start-up: after the server asked for the password. */
function cutAfterFirstAnswer(chunk: Buffer, from: Side, link: Link): Buffer | undefined {
  if (from === 'server') setImmediate(() => link.cut())
  return chunk
}

function halfAnAnswer(chunk: Buffer, from: Side, link: Link): Buffer | undefined {
  if (from === 'client') return chunk
  setImmediate(() => link.stall())
  return chunk.subarray(0, Math.max(1, chunk.length >> 1))
}
