/** What the command loads of a project, as Node itself loads it: in a process of its own, without Vitest's loader. */
import { execFile } from 'node:child_process'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { compiledProgram } from '../support/compiled-package.ts'

const run = promisify(execFile)

const program = `
const [module, directory, ...names] = process.argv.slice(1)
const { loadModules } = await import(module)
const [schema, ...loaded] = await loadModules(directory, ['schema.ts', ...names].map((name) => directory + '/' + name))
console.log(JSON.stringify(loaded.map(({ default: config, people }, index) =>
  [names[index], config.default ?? config, people === schema.people])))
`

// An enum is what only tsx can load.
const schema = `enum Names { people = 'people' }
  export const people = { name: Names.people }`
const config = (type: string) => `import { people } from './schema'
  import { people as again } from '@/schema'
  const names${type} = [people.name, again === people]
  export { people }
  export default { names }`

test.each(['module', undefined])(
  'a config loads in each dialect and spelling of imports, with the tables of the schema, where "type" is %j',
  { timeout: 60_000 },
  async (type) => {
    const directory = await realpath(await mkdtemp(join(tmpdir(), 'rivulet-modules-')))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const files: Record<string, string> = {
      'package.json': JSON.stringify({ type }),
      'tsconfig.json': JSON.stringify({ compilerOptions: { paths: { '@/*': ['./*'] } } }),
      'schema.ts': schema,
      'config.js': config(''),
      'config.ts': config(': unknown[]'),
      'config.mts': config(': unknown[]'),
      'config.cts': config(': unknown[]'),
    }
    for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content)
    const names = Object.keys(files).filter((name) => name.startsWith('config.'))
    const module = compiledProgram('src/cli/user-modules.ts')
    const { stdout, stderr } = await run(
      process.execPath,
      ['--input-type=module', '-e', program, module, directory, ...names],
      { cwd: directory },
    )
    const loaded = JSON.parse(stdout) as [string, unknown, boolean][]
    expect({ stderr, loaded: loaded.map(([name, value]) => [name, value]) }).toEqual({
      stderr: '',
      loaded: names.map((name) => [name, { names: ['people', true] }]),
    })
    // Where the ending says what the package.json does not, a file may get a schema of its own, in the other dialect.
    expect(loaded.filter(([name]) => /\.[jt]s$/.test(name)).map(([, , shared]) => shared)).toEqual([true, true])
  },
)
