/**
 * The user's own modules: the Drizzle config, the schema, the seed. If tsx is installed, it loads them in any dialect
 * and with any spelling of imports: drizzle-kit reads the same files, and installs tsx. Without tsx Node loads what it
 * can load by itself: JavaScript, and from 22.18 on TypeScript whose types can be stripped and whose imports have their
 * endings (https://nodejs.org/api/typescript.html#type-stripping).
 */
import { createRequire } from 'node:module'
import { extname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageMissing } from '../optional-packages.ts'

type Module = Record<string, unknown>
/** Each has one of Node's ways to load modules know what tsx can load, until what it returns is called. */
interface Tsx {
  readonly hookImport: () => () => Promise<void>
  readonly hookRequire: () => () => void
}

/**
 * Imports modules with one loader, so that they share what they import. @throws PackageMissing if only tsx could load
 * one of them; also throws what a module throws.
 */
export async function loadModules(directory: string, paths: readonly string[]): Promise<Module[]> {
  const tsx = await findTsx(directory)
  const modules: Module[] = []
  if (tsx === undefined) {
    for (const path of paths) modules.push(await loadByNode(path))
    return modules
  }
  // Of both, because files become CommonJS without "type": "module". Without a namespace, which tsx 4.23 loses in what
  // Node 24 requires for an import.
  const unhookRequire = tsx.hookRequire()
  const unhookImport = tsx.hookImport()
  try {
    for (const path of paths) modules.push(exportsOf(await loadByTsx(path)))
    return modules
  } finally {
    await unhookImport()
    unhookRequire()
  }
}

/** Older Nodes read the import of a .cts past the hooks. */
function loadByTsx(path: string): Module | Promise<Module> {
  const required = ['.cts', '.cjs'].includes(extname(path))
  return required ? (createRequire(path)(path) as Module) : (import(pathToFileURL(path).href) as Promise<Module>)
}

/** What the file exports: older Nodes see no names in an ES module that became CommonJS, only the whole as its default. */
function exportsOf(module: Module): Module {
  const whole = module.default
  return typeof whole === 'object' && whole !== null && '__esModule' in whole ? (whole as Module) : module
}

/** The project's tsx, that of its drizzle-kit where packages cannot reach into each other, or ours. */
async function findTsx(directory: string): Promise<Tsx | undefined> {
  const project = createRequire(join(directory, 'package.json'))
  for (const from of [project, ...besideKit(project), createRequire(import.meta.url)]) {
    try {
      // `resolve` knows no `import`, and the CommonJS build that it names does not find its own files.
      const path = from.resolve('tsx/esm/api').replace(/\.cjs$/, '.mjs')
      const { register: hookImport } = (await import(pathToFileURL(path).href)) as typeof import('tsx/esm/api')
      const { register: hookRequire } = from('tsx/cjs/api') as typeof import('tsx/cjs/api')
      return { hookImport, hookRequire }
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
  }
  return undefined
}

function besideKit(project: NodeJS.Require): NodeJS.Require[] {
  try {
    return [createRequire(project.resolve('drizzle-kit'))]
  } catch (error) {
    if (isAbsent(error)) return []
    throw error
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND'
}

async function loadByNode(path: string): Promise<Module> {
  try {
    return (await import(pathToFileURL(path).href)) as Module
  } catch (error) {
    if (!needsTsx(error)) throw error
    const reason = (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]
    const what = `${relative('', path)}, which Node ${process.versions.node} cannot load by itself (${reason}),`
    throw packageMissing(what, ['tsx'], error)
  }
}

/** What Node says of modules that tsx would load: of TypeScript, and of imports without the endings of their files. */
const beyondNode: ReadonlySet<string | undefined> = new Set([
  'ERR_UNKNOWN_FILE_EXTENSION',
  'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX',
  'ERR_INVALID_TYPESCRIPT_SYNTAX',
  'ERR_UNSUPPORTED_DIR_IMPORT',
])

function needsTsx(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND')
    return /Cannot find module '(?:\/|\.|[A-Z]:)/.test(message)
  // A type that is imported without the word `type`.
  const typeImported = error instanceof SyntaxError && message.includes('does not provide an export named')
  return beyondNode.has(code) || typeImported
}
