/**
 * This package as it is published, and the programs beside this file, compiled: what tests start as processes. Node runs
 * JavaScript at once; a loader of TypeScript costs each process half a second of computing. Compiled where no folder
 * bears the hash of the sources yet: once for all files, processes and runs until a source changes.
 */
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from '../../.ci/build.js'

const root = new URL('../..', import.meta.url).pathname
const parent = join(root, 'node_modules', '.cache', 'rivulet')

/** The folder of the compiled package: package.json, dist/ and migrations/, and every dependency within reach. */
export const compiledPackage = compiled()

/** The JavaScript that a source, as in `src/cli/main.ts`, was compiled to. */
export function compiledProgram(source: string): string {
  return join(compiledPackage, 'dist', source.replace(/^src\//, '').replace(/\.ts$/, '.js'))
}

function compiled(): string {
  const folder = join(parent, hashOfSources())
  if (!existsSync(folder)) compile(folder)
  // What nobody has used for a day belongs to sources that have changed.
  utimesSync(folder, new Date(), new Date())
  const yesterday = Date.now() - 24 * 60 * 60 * 1000
  for (const name of readdirSync(parent)) {
    const old = (statSync(join(parent, name), { throwIfNoEntry: false })?.mtimeMs ?? Infinity) < yesterday
    if (old) rmSync(join(parent, name), { recursive: true, force: true })
  }
  return folder
}

/** Under another name first: others may compile the same at the same time, and whoever is first is as good as any. */
function compile(folder: string): void {
  mkdirSync(parent, { recursive: true })
  const draft = mkdtempSync(join(parent, 'draft-'))
  chmodSync(draft, 0o755)
  const project = join(draft, 'tsconfig.json')
  const options = { rootDir: root, outDir: join(draft, 'dist'), declaration: false, sourceMap: false, noCheck: true }
  const include = ['src', 'schema', 'test/support/child-*.ts'].map((path) => join(root, path))
  const compilerOptions = { ...options, inlineSources: false, typeRoots: [join(root, 'node_modules/@types')] }
  writeFileSync(project, JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include }))
  build(project, join(draft, 'dist'))
  cpSync(join(root, 'package.json'), join(draft, 'package.json'))
  symlinkSync(join(root, 'migrations'), join(draft, 'migrations'))
  try {
    renameSync(draft, folder)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
}

function hashOfSources(): string {
  const hash = createHash('sha256')
  for (const path of ['package.json', 'tsconfig.json', '.ci/build.js', 'src', 'schema', 'test/support']) {
    const files = statSync(join(root, path)).isFile() ? [path] : filesIn(path)
    for (const file of files)
      hash
        .update(`${file}\0`)
        .update(readFileSync(join(root, file)))
        .update('\0')
  }
  return hash.digest('hex').slice(0, 16)
}

function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .sort()
}
