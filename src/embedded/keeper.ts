/**
 * An owner's side of the keeper: the small process that is the parent of a server and stops it when it has no holder
 * any more (`keeper-process.js`). The process that starts the server spawns the keeper and sends it requests over the
 * channel between them. Only that channel takes requests, so a keeper of root runs nothing for other users. All owners,
 * also the one that started the server, then hold it by a connection to the keeper's socket (`hold.ts`).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EmbeddedServerFailed } from '../errors.ts'
import { type ProgramResult, type ProgramOptions, spawnOptions } from './run-program.ts'
import { addressFile, type Hold, holdAt } from './hold.ts'
import { uniqueName } from './process-identity.ts'
import type { ServerUser } from './server-user.ts'

/** A program for the keeper to spawn. */
export interface Program {
  readonly file: string
  readonly args: readonly string[]
  readonly options: ReturnType<typeof spawnOptions>
  /** The text on its standard input. Default none. */
  readonly input?: string | undefined
}

/** A request to the keeper from the process that spawned it; one at a time, each with its reply before the next. */
export type KeeperRequest =
  | { readonly do: 'listen'; readonly address: string; readonly temporary?: string | undefined }
  | { readonly do: 'run'; readonly program: Program }
  | { readonly do: 'serve'; readonly program: Program; readonly remove: readonly string[] }
  | { readonly do: 'open' }

interface KeeperReply {
  readonly done?: unknown
  readonly failed?: string
  /** How the server ended; sent when it does, not as a reply. */
  readonly ended?: string
}

/** The keeper while its server is being started: it ends, with all it started, when the starting process does. */
export class Keeper {
  readonly #child: ChildProcess
  /** Resolves with the reason when it has exited, or could not be run at all. */
  readonly #exited: Promise<string>
  #serverEnd: string | undefined
  #address = ''

  /** @param log the file descriptor that the server writes its log to */
  constructor(log: number) {
    const program = fileURLToPath(new URL('keeper-process.js', import.meta.url))
    // It has its own process group, because a Ctrl-C is for its owners.
    this.#child = spawn(process.execPath, [program], { ...spawnOptions(undefined), stdio: ['ignore', log, log, 'ipc'] })
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
      this.#child.once('error', (error) => resolve(error.message))
    })
    this.#child.on('message', ({ ended }: KeeperReply) => (this.#serverEnd = ended ?? this.#serverEnd))
  }

  /** How the server that was started last ended; undefined while it runs. */
  get serverEnd(): string | undefined {
    return this.#serverEnd
  }

  /**
   * Publishes the keeper in a directory, for processes that want to hold the server or to wait for the end of an
   * interrupted start. If its socket is in a `temporary` directory, that is removed with the keeper.
   */
  async listen(directory: string, address: string, temporary?: string): Promise<void> {
    await this.#request({ do: 'listen', address, temporary })
    this.#address = address
    await writeAddress(directory, address)
  }

  /** Runs a program to its end, like `run`; aborted, it ends the keeper as well. */
  async run(
    file: string,
    args: string[],
    user: ServerUser | undefined,
    options: ProgramOptions = {},
  ): Promise<ProgramResult> {
    const { input, signal } = options
    const end = () => void this.end()
    signal?.addEventListener('abort', end)
    try {
      const program = { file, args, options: spawnOptions(user), input }
      return (await this.#request({ do: 'run', program })) as ProgramResult
    } catch (error) {
      return { ok: false, output: (error as Error).message }
    } finally {
      signal?.removeEventListener('abort', end)
    }
  }

  /** Starts the server and returns its process id. The paths in `remove` are removed when it has ended for good. */
  async serve(file: string, args: string[], user: ServerUser | undefined, remove: readonly string[]): Promise<number> {
    this.#serverEnd = undefined
    const program = { file, args, options: spawnOptions(user) }
    return (await this.#request({ do: 'serve', program, remove })) as number
  }

  /** Opens the server to all owners, and exchanges control of the keeper for a hold like any other. */
  async open(): Promise<Hold> {
    this.#child.send({ do: 'open' } satisfies KeeperRequest)
    const hold = await holdAt(this.#address)
    if (hold === undefined)
      throw new EmbeddedServerFailed(
        'The process that manages the embedded PostgreSQL ended unexpectedly: try again, or set DATABASE_URL.',
      )
    this.#child.unref()
    if (this.#child.connected) this.#child.disconnect()
    return hold
  }

  /** Ends the keeper and what it runs. */
  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    await this.#exited
  }

  async #request(request: KeeperRequest): Promise<unknown> {
    const answer = new Promise<KeeperReply>((resolve) => {
      const hear = (message: KeeperReply) => {
        if (message.ended !== undefined) return
        this.#child.off('message', hear)
        resolve(message)
      }
      this.#child.on('message', hear)
    })
    // A failure to send is followed by the exit.
    if (this.#child.connected) this.#child.send(request, () => {})
    const exited = this.#exited.then((failed): KeeperReply => ({ failed }))
    const { done, failed } = await Promise.race([answer, exited])
    if (failed === undefined) return done
    throw new EmbeddedServerFailed(
      `The process that manages the embedded PostgreSQL (${process.execPath}) failed: ${failed}. ` +
        'Try again, or set DATABASE_URL.',
    )
  }
}

/** Writes the address in one step, over one of any owner: root and the project's owner take turns. */
async function writeAddress(directory: string, address: string): Promise<void> {
  const draft = join(directory, `keeper-${uniqueName()}`)
  await writeFile(draft, address)
  await chmod(draft, 0o644)
  await rename(draft, addressFile(directory))
}
