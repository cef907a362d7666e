/**
 * The public surface of the package in text: what each entry exports, with its types, as API Extractor prints it. The
 * reports are kept in `test/api/`, so that a change of the surface is seen in a diff; a test compares them.
 *
 * `node .ci/api-report.js`, as `npm run api` does it, writes them anew.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor'

const root = join(import.meta.dirname, '..')

/** Where the reports are kept. */
export const reportFolder = join(root, 'test', 'api')

/** The entries whose surface is promised, by the names of their reports; the reference shop's is not. */
const entries = {
  rivulet: 'index',
  'rivulet-http': 'http/index',
  'rivulet-jwt': 'jwt/index',
  'rivulet-opentelemetry': 'opentelemetry/index',
  'rivulet-prometheus': 'prometheus/index',
  'rivulet-migrate': 'migrate/index',
  'rivulet-testing': 'testing/index',
}

/**
 * The report of every entry, and the names of types that it mentions and that no entry exports.
 * @returns {{ name: string, text: string, unexported: string[] }[]}
 */
export function apiReports() {
  // In the checkout, so that the declarations find the packages they name.
  mkdirSync(join(root, '.rivulet'), { recursive: true })
  const folder = mkdtempSync(join(root, '.rivulet', 'api-'))
  try {
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const options = ['--project', root, '--emitDeclarationOnly', '--outDir', folder]
    const { status, stdout } = spawnSync(process.execPath, [compiler, ...options], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`the declarations cannot be made:\n${stdout}`)
    const reports = Object.entries(entries).map(([name, entry]) => report(folder, name, entry))
    const exported = new Set([...reports.flatMap((each) => each.exported), ...ofEntries()])
    return reports.map(({ name, text, unexported }) => ({
      name,
      text,
      unexported: unexported.filter((type) => !exported.has(type)),
    }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * The types that the entries made for declarations export.
 * @returns {string[]}
 */
function ofEntries() {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const paths = Object.values(exports).filter((path) => String(path).endsWith('/declaration-types.js'))
  return paths.flatMap((/** @type {string} */ path) => {
    const text = readFileSync(join(root, path.replace('./dist/', 'src/').replace(/\.js$/, '.ts')), 'utf8')
    return Array.from(text.matchAll(/^export type \{([^}]*)\}/gm), ([, list = '']) => list.match(/\w+/g) ?? []).flat()
  })
}

/**
 * @param {string} folder of the declarations
 * @param {string} name
 * @param {string} entry
 */
function report(folder, name, entry) {
  const main = join(folder, 'src', `${entry}.d.ts`)
  const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'))
  const off = { logLevel: ExtractorLogLevel.None }
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: main,
      compiler: { overrideTsconfig: { compilerOptions: { ...compilerOptions, noEmit: true }, files: [main] } },
      apiReport: { enabled: true, reportFileName: `${name}.api.md`, reportFolder: folder, reportTempFolder: folder },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: off },
        extractorMessageReporting: { default: off, 'ae-forgotten-export': { logLevel: ExtractorLogLevel.Warning } },
        tsdocMessageReporting: { default: off },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, 'package.json'),
  })
  /** @type {string[]} */
  const unexported = []
  Extractor.invoke(config, {
    localBuild: true,
    messageCallback: (message) => {
      message.handled = true
      const symbol = message.messageId === 'ae-forgotten-export' && /symbol "(\w+)"/.exec(message.text)?.[1]
      if (symbol) unexported.push(symbol)
    },
  })
  const text = readFileSync(join(folder, `${name}.api.md`), 'utf8')
    .replace(/^> Do not edit[^\n]*$/m, '> Written by `npm run api`; a test compares it with the code.')
    .replaceAll(/^ *\/\/ \(undocumented\)\n/gm, '')
    .replace(/\n\/\/ \(No @packageDocumentation[^\n]*\n\n/, '')
  // What only a namespace has: TypeScript writes no declaration by such a name, but by an entry that exports the type.
  for (const [, list = ''] of text.matchAll(/^declare namespace \w+ \{\s+export \{([^}]*)\}/gm)) {
    unexported.push(...(list.match(/\w+/g) ?? []))
  }
  const exported = Array.from(text.matchAll(/^export (?:declare |abstract )*\w+ (\w+)/gm), ([, type = '']) => type)
  return { name, text, unexported, exported }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  mkdirSync(reportFolder, { recursive: true })
  for (const { name, text } of apiReports()) writeFileSync(join(reportFolder, `${name}.api.md`), text)
}
