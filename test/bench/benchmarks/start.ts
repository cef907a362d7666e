import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { type Benchmark, median } from '../benchmark.ts'

const run = promisify(execFile)

/** Where `npm run bench` is run. */
const root = process.cwd()
const compiled = (file: string) => new URL(`../../../src/${file}`, import.meta.url)

/** What somebody waits for who starts something. */
export const start: Benchmark = {
  name: 'start',
  title: 'Starting: the service, the commands, the import',
  limits: 'Of warm files: the first start after a reboot reads them from the disk.',
  run: async ({ url }) => {
    const { cold, warm } = await service()
    const env = { ...process.env, DATABASE_URL: url }
    const command = (name: string) =>
      seconds(() => run(process.execPath, [compiled('cli/main.js').pathname, name], { env, cwd: root }))
    const program = `const start = performance.now(); await import('${compiled('index.js').href}'); console.log(performance.now() - start)`
    const load = async () => Number((await run(process.execPath, ['--input-type=module', '--eval', program])).stdout)
    return {
      races: [],
      goals: [
        { what: 'npm start, to its first answer: cold', is: cold, most: 4, unit: 's' },
        { what: 'the same, when it has data', is: warm, most: 1.5, unit: 's' },
        { what: 'rivulet status', is: await command('status'), most: 0.7, unit: 's' },
        { what: 'rivulet migrate with nothing to do', is: await command('migrate'), most: 0.7, unit: 's' },
        { what: 'import of rivulet', is: median([await load(), await load(), await load()]), most: 100, unit: 'ms' },
      ],
    }
  },
}

/** In a directory that has no data yet, and again. */
async function service(): Promise<{ readonly cold: number; readonly warm: number }> {
  const directory = await mkdtemp(join(tmpdir(), 'rivulet-bench-'))
  try {
    await copyFile(join(root, 'package.json'), join(directory, 'package.json'))
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
    return {
      cold: await firstAnswer(directory),
      warm: median([await firstAnswer(directory), await firstAnswer(directory), await firstAnswer(directory)]),
    }
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** What `npm start` runs, until the page that it names has answered; seconds. */
async function firstAnswer(directory: string): Promise<number> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'src/shop/main.ts')], {
    cwd: directory,
    env: { ...process.env, PORT: '0', DATABASE_URL: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    for await (const line of createInterface(child.stdout)) {
      const [page] = /http:\S+\/product\/\S+/.exec(line) ?? []
      if (page === undefined) continue
      const answer = await fetch(page)
      if (!answer.ok) throw new Error(`${page} answers ${answer.status}`)
      await answer.text()
      return (performance.now() - startedAt) / 1000
    }
    throw new Error('npm start has named no page')
  } finally {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  }
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const took: number[] = []
  for (let round = 0; round < 3; round += 1) {
    const startedAt = performance.now()
    await work()
    took.push((performance.now() - startedAt) / 1000)
  }
  return median(took)
}
