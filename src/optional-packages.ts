/**
 * The packages that only some users need. They are optional peers: a user who does without installs none of them, and
 * one who needs a package is told the command that installs it. The build puts `withPackages` before the entries that cannot be
 * loaded without theirs (.ci/build.js).
 */
import { PackageMissing } from './errors.ts'

/** What is asked of npm for each: a version within the range in package.json. */
const versions = {
  '@hono/node-server': '2',
  '@opentelemetry/api': '1',
  'drizzle-kit': '0.31',
  'drizzle-seed': '0.3',
  hono: '4',
  jose: '6',
  'prom-client': '15',
  tsx: '4',
  zod: '4',
} as const

/** One of them. */
export type OptionalPackage = keyof typeof versions

/** Those that are no part of a program that runs in production. */
const forDevelopment: ReadonlySet<OptionalPackage> = new Set(['drizzle-kit', 'drizzle-seed', 'tsx'])

/** Loads what needs these packages. @throws PackageMissing when one of them is not installed. */
export async function withPackages<T>(
  what: string,
  packages: readonly OptionalPackage[],
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load()
  } catch (error) {
    throw packages.some((name) => isMissing(error, name)) ? packageMissing(what, packages, error) : error
  }
}

/** The error that says who needs the packages and how they are installed; `what` is its subject. */
export function packageMissing(what: string, packages: readonly OptionalPackage[], cause?: unknown): PackageMissing {
  const asked = packages.map((name) => `${name}@${versions[name]}`)
  const save = packages.every((name) => forDevelopment.has(name)) ? '--save-dev ' : ''
  const state = packages.length === 1 ? 'which is not installed' : 'and not all of them are installed'
  return new PackageMissing(`${what} needs ${listed(packages)}, ${state}: npm install ${save}${asked.join(' ')}`, {
    cause,
    packages: asked,
  })
}

/** True when `import` did not find this package; what one of its own files does not find is another matter. */
function isMissing(error: unknown, name: OptionalPackage): boolean {
  const { code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { code: '', message: '' }
  return code === 'ERR_MODULE_NOT_FOUND' && message.startsWith(`Cannot find package '${name}'`)
}

function listed(names: readonly string[]): string {
  const last = names.at(-1) ?? ''
  return names.length > 1 ? `${names.slice(0, -1).join(', ')} and ${last}` : last
}
