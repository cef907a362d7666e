/**
 * Servers for the HTTP benchmarks, each a process with ten connections to the database; this one is the client, over sockets
 * that are kept. Beside throughput stands the CPU time of the server alone, which the client and the database do not share in.
 */
import { deepStrictEqual } from 'node:assert'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { type Racer, runRound } from './measure.ts'

/** One process that answers. */
export class BenchServer implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 })

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.#port = port
  }

  /** Starts one of those in `http-server.ts`. */
  static async start(kind: string, url: string): Promise<BenchServer> {
    const child = fork(new URL('./http-server.js', import.meta.url), [kind, url], { execArgv: [] })
    const [port] = (await once(child, 'message')) as [number]
    return new BenchServer(child, port)
  }

  /** Microseconds of CPU it has used so far. */
  cpuUs(): Promise<number> {
    return this.#ask('cpu')
  }

  /** Megabytes it uses, of the heap and beside it. */
  memoryMb(): Promise<number> {
    return this.#ask('memory')
  }

  async #ask(what: 'cpu' | 'memory'): Promise<number> {
    const answer = once(this.#child, 'message')
    this.#child.send(what)
    return ((await answer) as [number])[0]
  }

  /** The text that it answers with. @throws when it is not OK. */
  async text(path: string): Promise<string> {
    const response = await this.response(path)
    let text = ''
    response.setEncoding('utf8')
    for await (const chunk of response) text += chunk as string
    return text
  }

  response(path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = { agent: this.#agent, port: this.#port, host: '127.0.0.1', path, headers }
      const request = get(options, (response) => {
        if (response.statusCode === 200) return resolve(response)
        reject(new Error(`${path}: ${response.statusCode}`))
      })
      request.on('error', reject)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill()
    this.#agent.destroy()
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
  }
}

const kinds = [
  ['raw-postgres', 'postgres.js', 'bare Hono: c.json of sql`select …`, served by @hono/node-server'],
  ['naive-drizzle', 'Drizzle', 'bare Hono: c.json of db.select(), served by @hono/node-server'],
  ['rivulet', 'Rivulet', 'createShopApp, openHttpServer'],
] as const

/** The shop by Rivulet, by bare Hono on postgres.js and by bare Hono on Drizzle. */
export class HttpField implements AsyncDisposable {
  readonly #servers: readonly BenchServer[]

  private constructor(servers: readonly BenchServer[]) {
    this.#servers = servers
  }

  static async open(url: string): Promise<HttpField> {
    return new HttpField(await Promise.all(kinds.map(([kind]) => BenchServer.start(kind, url))))
  }

  /** The contenders on one route. @throws when their answers differ. */
  async racers(pathOf: (index: number) => string): Promise<readonly Racer[]> {
    const answers = await Promise.all(this.#servers.map((server) => server.text(pathOf(0))))
    const [own, ...others] = answers.map((text) => JSON.parse(text) as unknown)
    for (const other of others) deepStrictEqual(other, own)
    return kinds.map(([, name, how], index) => {
      const server = this.#servers[index] as BenchServer
      return {
        name,
        how,
        round: (options) =>
          runRound(
            (call) => server.text(pathOf(call)),
            options,
            () => server.cpuUs(),
          ),
      }
    })
  }

  /** Requests of one of them. */
  requests(name: string, pathOf: (index: number) => string): (index: number) => Promise<string> {
    const server = this.#servers[kinds.findIndex((kind) => kind[1] === name)] as BenchServer
    return (index) => server.text(pathOf(index))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server[Symbol.asyncDispose]()))
  }
}
