/**
 * Where and as whom an embedded server can run: as root and as an ordinary user, in places the server's user cannot
 * enter, with any locale, path and installation. What only root can arrange is skipped for everybody else.
 */
import { execFile, execFileSync } from 'node:child_process'
import { chmod, chown, mkdir, readFile, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { findPackage } from '../../src/embedded/binaries.ts'
import { openEmbeddedServer } from '../../src/embedded/server.ts'
import { EmbeddedServerFailed } from '../../src/errors.ts'
import { compiledProgram } from '../support/compiled-package.ts'
import { makeCheckout, withoutInstallScript } from '../support/embedded-checkout.ts'
import {
  cleanUp,
  forgetTemplate,
  makeDirectory,
  makeProject,
  query,
  serverPid,
  startChild,
  userOf,
} from '../support/embedded-projects.ts'

afterEach(cleanUp)
afterAll(forgetTemplate)

const quick = { settings: { fsync: 'off' } }
const isRoot = process.getuid?.() === 0
const nobody = isRoot ? { uid: idOf('-u'), gid: idOf('-g') } : undefined

function idOf(flag: string): number {
  return Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
}

async function linksOfPackage(): Promise<string[]> {
  const listed = await readFile(join((await findPackage()).native, 'pg-symlinks.json'), 'utf8')
  return (JSON.parse(listed) as { target: string }[]).map(({ target }) => target)
}

describe('whatever the environment says', () => {
  test('LANG=C gives a UTF-8 database with Unicode case rules, and PGDATA or PGPORT change nothing', async () => {
    const directory = join(await makeDirectory(), '.rivulet')
    const env = { LANG: 'C', LC_ALL: 'C', PGDATA: '/nowhere', PGPORT: '1', PGUSER: 'nobody', TZ: 'Asia/Tokyo' }
    const child = startChild({ directory, ...quick }, { env })
    const { url } = await child.opened
    const [row] = await query(
      url,
      `select current_setting('server_encoding') as encoding, lower('ÄÉ') as lower, upper('ж') as upper,
        'résumé 日本' ~ '^\\w+ \\w+$' as words, current_setting('TimeZone') as zone`,
    )
    expect(row).toEqual({ encoding: 'UTF8', lower: 'äé', upper: 'Ж', words: true, zone: 'UTC' })
    await child.stop()
  })

  test('a password is needed, and it must be the right one', async () => {
    await using server = await openEmbeddedServer({ directory: await makeProject(), ...quick })
    const { password } = parseDatabaseUrl(server.url)
    await expect(query(server.url.replace(password, 'wrong'), 'select 1')).rejects.toThrow('password authentication')
    expect(await query(server.url, 'show password_encryption')).toEqual([{ password_encryption: 'scram-sha-256' }])
    expect(
      await query(server.url, "select auth_method from pg_hba_file_rules where auth_method <> 'scram-sha-256'"),
    ).toEqual([])
  })

  test('neither the socket nor the password nor the data can be reached by other users, and no port is open', async () => {
    const directory = join(await makeDirectory(), '.rivulet')
    await using server = await openEmbeddedServer({ directory, ...quick })
    const modes = [server.socketDirectory ?? '', join(directory, 'data'), join(directory, 'password')]
    for (const path of modes) expect((await stat(path)).mode & 0o077).toBe(0)
    expect((await stat(directory)).mode & 0o066).toBe(0)
    expect(await query(server.url, 'show listen_addresses')).toEqual([{ listen_addresses: '' }])
    expect(await readFile(join(directory, '.gitignore'), 'utf8')).toBe('*\n')
  })
})

describe('whatever the path', () => {
  test('a project deeper than a socket path may be long has its socket elsewhere, and leaves nothing there', async () => {
    const parent = join(await makeDirectory(), ...Array.from({ length: 12 }, () => 'twelve-bytes'))
    await mkdir(parent, { recursive: true })
    const deep = await makeProject(parent)
    const server = await openEmbeddedServer({ directory: deep, ...quick })
    const socketDirectory = server.socketDirectory ?? ''
    expect(dirname(socketDirectory)).toBe(tmpdir())
    expect((await stat(socketDirectory)).mode & 0o077).toBe(0)
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }])
    await server.stop()
    await expect(stat(socketDirectory)).rejects.toThrow('ENOENT')
  })

  test('a process in a folder of a project uses the server of its root', async () => {
    const root = await makeDirectory()
    const cwd = join(root, 'packages/app/src')
    await mkdir(cwd, { recursive: true })
    await writeFile(join(root, 'package.json'), '{}')
    const directory = await makeProject(root)
    const child = startChild({ ...quick }, { cwd })
    expect((await child.opened).socketDirectory).toBe(join(directory, 'socket'))
    await child.stop()
  })

  test('a process that stands in no project keeps its data where it stands', async () => {
    const cwd = await makeDirectory()
    const directory = await makeProject(cwd)
    const child = startChild({ ...quick }, { cwd })
    expect((await child.opened).socketDirectory).toBe(join(directory, 'socket'))
    await child.stop()
  })

  test('the command uses the server of the root of the project whose config it is given', async () => {
    const root = await makeDirectory()
    const directory = await makeProject(root)
    const config = join(root, 'database', 'drizzle.config.json')
    await mkdir(join(root, 'database', 'drizzle', 'meta'), { recursive: true })
    await writeFile(join(root, 'package.json'), '{}')
    await writeFile(config, JSON.stringify({ dialect: 'postgresql', schema: './schema.ts' }))
    await writeFile(join(root, 'database', 'drizzle', 'meta', '_journal.json'), '{ "entries": [] }')
    const args = [compiledProgram('src/cli/main.ts'), 'migrate', '--config', config]
    const { DATABASE_URL: _, ...env } = process.env
    await promisify(execFile)(process.execPath, args, { cwd: '/', env })
    // It ran: this server has a log.
    expect(await readdir(directory)).toContain('server.log')
    expect(await readdir(join(root, 'database'))).not.toContain('.rivulet')
  })

  test('a path with spaces, quotes, commas and letters of other alphabets works', async () => {
    const directory = join(await makeDirectory(), "it's my, ünï + 日本 & #1?", '.rivulet')
    await using server = await openEmbeddedServer({ directory, ...quick })
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('a path that the programs of PostgreSQL cannot cope with is named', async () => {
    const checkout = await makeCheckout(join(await makeDirectory(), 'five $dollars'))
    const child = startChild({ directory: join(checkout.root, '.rivulet') }, checkout)
    const { error, message } = await child.opened
    expect(error).toBe('embedded_server_failed')
    expect(message).toContain('cannot run from a path with any of " $')
  })

  test('a directory that holds other things keeps them as they are', async () => {
    const directory = await makeDirectory(0o755)
    await mkdir(join(directory, 'src'))
    await (await openEmbeddedServer({ directory, ...quick })).stop()
    expect((await stat(directory)).mode & 0o777).toBe(0o755)
    await expect(stat(join(directory, '.gitignore'))).rejects.toThrow('ENOENT')
  })
})

describe('whatever the installation', () => {
  test('a platform without binaries is told to set DATABASE_URL', async () => {
    const failure = findPackage('sunos', 'sparc')
    await expect(failure).rejects.toBeInstanceOf(EmbeddedServerFailed)
    await expect(failure).rejects.toThrow(/sunos-sparc.*set DATABASE_URL/)
  })

  test('binaries that cannot run here are told apart from missing ones', async () => {
    const checkout = await makeCheckout(await makeDirectory())
    await chmod(join(checkout.native, 'lib'), 0o755)
    await unlink(join(checkout.native, 'lib', 'libssl.so.1.1'))
    const child = startChild({ directory: join(checkout.root, '.rivulet') }, checkout)
    const { error, message } = await child.opened
    expect(error).toBe('embedded_server_failed')
    expect(message).toMatch(/does not run on this machine: set DATABASE_URL.*libssl/)
  })

  test('with install scripts off, the missing links are made where they belong', async () => {
    const checkout = await makeCheckout(await makeDirectory())
    const links = await linksOfPackage()
    for (const link of links) await unlink(join(checkout.native, '..', link))
    const child = startChild({ directory: await makeProject(checkout.root), ...quick }, checkout)
    expect(await query((await child.opened).url, 'select 1 as one')).toEqual([{ one: 1 }])
    for (const link of links) expect((await stat(join(checkout.native, '..', link))).isFile()).toBe(true)
    await child.stop()
  })

  test('an ordinary user with install scripts off and a read-only installation gets a copy', async () => {
    const checkout = await makeCheckout(await makeDirectory())
    await withoutInstallScript(checkout, await linksOfPackage())
    const project = await makeDirectory()
    if (nobody !== undefined) await chown(project, nobody.uid, nobody.gid)
    const directory = join(project, '.rivulet')
    for (const owned of [true, true]) {
      const child = startChild({ directory, ...quick }, { ...checkout, user: nobody })
      expect(await child.opened).toMatchObject({ owned })
      const [row] = await query((await child.opened).url, "select current_setting('data_directory') as data")
      expect(row).toEqual({ data: join(directory, 'data') })
      expect(userOf(await serverPid(directory))).toBe(nobody?.uid ?? process.getuid?.())
      expect(await child.stop()).toBe(0)
    }
    expect(await readdir(directory)).toContainEqual(expect.stringMatching(/^binaries-\d/))
    await chmod(join(checkout.native, 'lib'), 0o755)
  })
})

describe.skipIf(!isRoot)('as root', () => {
  test('the server runs as another user', async () => {
    const directory = join(await makeDirectory(), '.rivulet')
    await using server = await openEmbeddedServer({ directory, ...quick })
    expect(userOf(await serverPid(directory))).not.toBe(0)
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('a checkout under a 0700 home works, keeps its data, and takes it along when it moves', async () => {
    const home = await makeDirectory(0o700)
    const checkout = await makeCheckout(home)
    const directory = join(checkout.root, '.rivulet')
    const first = startChild({ directory, ...quick }, checkout)
    await query((await first.opened).url, 'create table kept as select 42 as n')
    expect(await first.stop()).toBe(0)
    const serverHome = await readFile(join(directory, 'home'), 'utf8')
    expect(serverHome.startsWith(home)).toBe(false)
    expect((await stat(join(serverHome, 'data'))).mode & 0o077).toBe(0)

    const second = startChild({ directory, ...quick }, checkout)
    expect(await query((await second.opened).url, 'select n from kept')).toEqual([{ n: 42 }])
    expect(await second.stop()).toBe(0)

    await rename(directory, join(home, '.rivulet'))
    await using moved = await openEmbeddedServer({ directory: join(home, '.rivulet'), ...quick })
    expect(moved.dataDirectory).toBe(join(serverHome, 'data'))
    expect(await query(moved.url, 'select n from kept')).toEqual([{ n: 42 }])
  })

  test('under a 0700 home, a project whose directory was removed begins empty', async () => {
    const directory = join(await makeDirectory(0o700), '.rivulet')
    const before = await openEmbeddedServer({ directory, ...quick })
    await query(before.url, 'create table kept as select 42 as n')
    const serverHome = await readFile(join(directory, 'home'), 'utf8')
    const pid = await serverPid(serverHome)
    // The server still runs.
    await rm(directory, { recursive: true })
    await using after = await openEmbeddedServer({ directory, ...quick })
    expect(await readFile(join(directory, 'home'), 'utf8')).toBe(serverHome)
    expect(await serverPid(serverHome)).not.toBe(pid)
    expect(await query(after.url, "select to_regclass('kept') as kept")).toEqual([{ kept: null }])
    await before.stop()
    expect(await query(after.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('an ephemeral server under a 0700 directory for temporary files leaves nothing', async () => {
    const temporary = await makeDirectory(0o700)
    const child = startChild({ ephemeral: true }, { env: { TMPDIR: temporary } })
    const { socketDirectory, url } = await child.opened
    expect(socketDirectory.startsWith(temporary)).toBe(false)
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await child.stop()).toBe(0)
    await expect(stat(dirname(socketDirectory))).rejects.toThrow('ENOENT')
  })

  test('root and the owner of a project may take turns, and share the server', async () => {
    const checkout = await makeCheckout(await makeDirectory())
    const project = await makeDirectory()
    await chown(project, nobody?.uid ?? 0, nobody?.gid ?? 0)
    const directory = join(project, '.rivulet')
    const owner = { ...checkout, user: nobody }
    const first = startChild({ directory, ...quick }, owner)
    await first.opened
    const root = await openEmbeddedServer({ directory, ...quick })
    expect(root.owned).toBe(false)
    await first.stop()
    const third = startChild({ directory, ...quick }, owner)
    expect((await third.opened).owned).toBe(false)
    await root.stop()
    await third.stop()
    const again = await openEmbeddedServer({ directory, ...quick })
    const guest = startChild({ directory, ...quick }, owner)
    expect((await guest.opened).owned).toBe(false)
    await again.stop()
    expect(await query((await guest.opened).url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await guest.stop()).toBe(0)
    const last = startChild({ directory, ...quick }, owner)
    expect((await last.opened).owned).toBe(true)
    expect(await last.stop()).toBe(0)
  })

  test("an ordinary user is told that root's project is not theirs", async () => {
    const checkout = await makeCheckout(await makeDirectory())
    const child = startChild({ directory: await makeProject() }, { ...checkout, user: nobody })
    const { error, message } = await child.opened
    expect(error).toBe('embedded_server_failed')
    expect(message).toContain('belongs to another user (uid 0)')
  })

  test('a project is not made in a directory that cannot be written to', async () => {
    const checkout = await makeCheckout(await makeDirectory())
    const child = startChild({ directory: join(await makeDirectory(), '.rivulet') }, { ...checkout, user: nobody })
    const { error, message } = await child.opened
    expect(error).toBe('embedded_server_failed')
    expect(message).toMatch(/cannot be used .*EACCES.*set DATABASE_URL/)
  })

  test('a strict umask changes nothing, at installation or later', async () => {
    const checkout = await makeCheckout(await makeDirectory())
    execFileSync('chmod', ['-R', 'go-rwx', checkout.native])
    const before = process.umask(0o077)
    try {
      const child = startChild({ directory: join(checkout.root, '.rivulet'), ...quick }, checkout)
      expect(await query((await child.opened).url, 'select 1 as one')).toEqual([{ one: 1 }])
      expect(await child.stop()).toBe(0)
    } finally {
      process.umask(before)
    }
  })
})
