/**
 * A server of one's own, to be killed, stopped and started again on the same data, which nobody else may suffer from.
 */
import { execFileSync } from 'node:child_process'
import { chmod, chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { parseDatabaseUrl } from '../../src/config.ts'
import { type EmbeddedServer, openEmbeddedServer } from '../../src/embedded/server.ts'

export class PrivateServer implements AsyncDisposable {
  url = ''
  readonly #root: string
  readonly #settings: Record<string, string>
  readonly #handles: EmbeddedServer[] = []
  #data = ''

  constructor(root: string, settings: Record<string, string>) {
    this.#root = root
    this.#settings = settings
  }

  async start(): Promise<void> {
    const directory = join(this.#root, '.rivulet')
    const server = await openEmbeddedServer({ directory, settings: { fsync: 'off', ...this.#settings } })
    this.#handles.push(server)
    this.url = server.url
    const { host, port, user, password, database } = parseDatabaseUrl(server.url)
    const client = postgres({ host, port, user, password, database, max: 1 })
    const [row] = await client<{ data_directory: string }[]>`show data_directory`
    this.#data = row?.data_directory ?? ''
    await client.end({ timeout: 1 })
  }

  /** The URL of a database on this server as it runs now. */
  urlOf(database: string): string {
    return this.url.replace(/^([^?]*\/\/[^/?]*)(?:\/[^?]*)?/, `$1/${database}`)
  }

  /** SIGKILL to the postmaster: its backends notice by themselves and end. */
  async kill(): Promise<void> {
    process.kill(await this.#postmaster(), 'SIGKILL')
  }

  /** Starts again as a hot standby that follows nobody, until it is promoted. */
  async becomeStandby(): Promise<void> {
    for (const server of this.#handles.splice(0)) await server.stop()
    const { uid, gid } = await stat(this.#data)
    const signal = join(this.#data, 'standby.signal')
    await writeFile(signal, '')
    if (process.getuid?.() === 0) await chown(signal, uid, gid)
    await this.start()
  }

  /** Stops every process of the server where it is; its sockets stay open and silent. */
  async pause(): Promise<void> {
    const pid = await this.#postmaster()
    for (const each of [pid, ...childrenOf(pid)]) process.kill(each, 'SIGSTOP')
  }

  async resume(): Promise<void> {
    const pid = await this.#postmaster()
    for (const each of [pid, ...childrenOf(pid)]) process.kill(each, 'SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#handles) await server.stop()
    await rm(this.#root, { recursive: true, force: true, maxRetries: 10 })
  }

  async #postmaster(): Promise<number> {
    const [line] = (await readFile(join(this.#data, 'postmaster.pid'), 'utf8')).split('\n')
    return Number(line)
  }
}

/** Starts a server of one's own. */
export async function openPrivateServer(settings: Record<string, string> = {}): Promise<PrivateServer> {
  const root = await mkdtemp(join(tmpdir(), 'rivulet-chaos-'))
  await chmod(root, 0o755)
  const server = new PrivateServer(root, settings)
  await server.start()
  return server
}

function childrenOf(pid: number): number[] {
  const output = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
  return output.split('\n').filter(Boolean).map(Number)
}
