/** The package as npm publishes it, packed from a copy of the checkout. */
import { execFile } from 'node:child_process'
import { cp, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const repository = new URL('../..', import.meta.url).pathname

/** Packs a copy in `checkout`, so that what an earlier build left in `dist/` gets into nothing. Returns the tarball's path. */
export async function pack(checkout: string): Promise<string> {
  const parts = ['.ci', 'src', 'schema', 'migrations', 'docs', 'package.json', 'tsconfig.json', 'LICENSE']
  for (const part of [...parts, 'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']) {
    await cp(join(repository, part), join(checkout, part), { recursive: true })
  }
  await symlink(join(repository, 'node_modules'), join(checkout, 'node_modules'))
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', checkout], { cwd: checkout })
  return join(checkout, stdout.trim().split('\n').at(-1) ?? '')
}
