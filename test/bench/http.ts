/**
 * The HTTP races: the same two routes, by Rivulet, by bare Hono on postgres.js and by bare Hono on Drizzle. Each is a process
 * with ten connections to the database, this one is the client, over sockets that are kept. Beside throughput stands the
 * CPU time of the server alone, which the client and the database do not share in.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import type { Contender } from './measure.ts'

const agent = new Agent({ keepAlive: true, maxSockets: 256 })

/** The yardsticks first. */
const kinds = [
  ['naive-drizzle', 'Drizzle', 'bare Hono: c.json of db.select(), served by @hono/node-server'],
  ['raw-postgres', 'postgres.js', 'bare Hono: c.json of sql`select …`, served by @hono/node-server'],
  ['rivulet', 'Rivulet', 'createShopApp, openHttpServer'],
] as const

/** A server of each kind on a database, and the routes that they race on. @throws when their answers differ. */
export class HttpField implements AsyncDisposable {
  readonly #servers: readonly { readonly child: ChildProcess; readonly port: number }[]

  private constructor(servers: readonly { child: ChildProcess; port: number }[]) {
    this.#servers = servers
  }

  static async open(url: string): Promise<HttpField> {
    const servers = await Promise.all(
      kinds.map(async ([kind]) => {
        const child = fork(new URL('./http-server.js', import.meta.url), [kind, url], { execArgv: [] })
        const [port] = (await once(child, 'message')) as [number]
        return { child, port }
      }),
    )
    return new HttpField(servers)
  }

  /** The contenders on one route. */
  async race(pathOf: (index: number) => string): Promise<readonly Contender[]> {
    const answers = await Promise.all(this.#servers.map(({ port }) => fetchText(port, pathOf(0))))
    const [own, ...others] = answers.map((text) => JSON.stringify(sorted(JSON.parse(text))))
    if (others.some((other) => other !== own)) throw new Error(`the answers differ:\n${answers.join('\n')}`)
    return kinds.map(([, name, how], index) => {
      const { child, port } = this.#servers[index]!
      return {
        name,
        how,
        run: (call) => fetchText(port, pathOf(call)),
        cpuUs: async () => {
          const answer = once(child, 'message')
          child.send('cpu')
          return ((await answer) as [number])[0]
        },
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#servers) child.kill()
    agent.destroy()
    await Promise.all(this.#servers.map(({ child }) => child.exitCode ?? once(child, 'exit')))
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  )
}

function fetchText(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ agent, port, host: '127.0.0.1', path }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${path}: ${response.statusCode}`)),
      )
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}
