/** The `rivulet` command where a FIFO lies in the place of a file: whoever opens one waits for a writer for ever. */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type CliProject, type End, ended, makeProject } from '../support/cli-project.ts'

async function putFifo({ directory }: CliProject, name: string): Promise<void> {
  await rm(join(directory, name), { force: true })
  await promisify(execFile)('mkfifo', [join(directory, name)])
}

/** Runs the command, which is killed with the test should it hang. */
function run(project: CliProject, ...args: string[]): Promise<End> {
  const child = project.start(args)
  onTestFinished(() => void child.kill('SIGKILL'))
  return ended(child)
}

describe('a FIFO', { timeout: 180_000 }, () => {
  test('in the place of a migration or a snapshot is refused by verify; one that is neither is left alone', async () => {
    await using project = await makeProject()
    expect(await run(project, 'generate', '--name', 'init')).toMatchObject({ exitCode: 0 })
    expect(await run(project, 'migrate')).toMatchObject({ exitCode: 0 })
    await putFifo(project, 'migrations/stray')
    await putFifo(project, 'migrations/meta/stray')
    expect(await run(project, 'verify')).toMatchObject({ exitCode: 0 })
    await putFifo(project, 'migrations/meta/0000_snapshot.json')
    for (const args of [['verify'], ['verify', '--code-only'], ['generate']]) {
      const stderr = expect.stringMatching(
        /^rivulet: .*\/migrations\/meta\/0000_snapshot\.json cannot be read: it is a FIFO/,
      )
      expect([args, await run(project, ...args)]).toEqual([args, { exitCode: 3, stdout: '', stderr }])
    }
    await putFifo(project, 'migrations/0000_init.sql')
    for (const args of [['verify'], ['verify', '--code-only'], ['status']]) {
      const stderr = expect.stringMatching(
        /^rivulet: .*\/migrations\/0000_init\.sql cannot be read: it is a FIFO, not a file\n$/,
      )
      expect([args, await run(project, ...args)]).toEqual([args, { exitCode: 3, stdout: '', stderr }])
    }
  })

  test('that lint is to read is refused as a wrong argument, in the migrations folder and elsewhere', async () => {
    await using project = await makeProject()
    expect(await run(project, 'generate', '--name', 'init')).toMatchObject({ exitCode: 0 })
    for (const file of ['elsewhere.sql', 'migrations/0000_init.sql']) {
      await putFifo(project, file)
      const stderr = expect.stringMatching(/^rivulet: .*\.sql cannot be read: it is a FIFO, not a file\n$/)
      expect(await run(project, 'lint', file)).toEqual({ exitCode: 64, stdout: '', stderr })
    }
    // The folder itself is broken now.
    expect(await run(project, 'lint')).toMatchObject({ exitCode: 3 })
  })

  test('in the place of the seed, the schema or the config is refused before anyone imports it', async () => {
    await using project = await makeProject()
    await project.write({ 'seed.ts': 'export default () => undefined' })
    await putFifo(project, 'seed-fifo.ts')
    const refused = async (message: RegExp, ...args: string[]) =>
      expect([args, await run(project, ...args)]).toEqual([
        args,
        { exitCode: 64, stdout: '', stderr: expect.stringMatching(message) },
      ])
    await run(project, 'generate', '--name', 'init')
    const noSeed = /^rivulet: .*\/seed-fifo\.ts cannot be the seed module: it is a FIFO, not a file\n$/
    await refused(noSeed, 'seed', '--file', 'seed-fifo.ts')
    await refused(noSeed, 'reset', '--yes', '--seed', '--file', 'seed-fifo.ts')
    await putFifo(project, 'schema.ts')
    const noSchema = /^rivulet: schema in .*\/schema\.ts cannot be loaded: it is a FIFO/
    await refused(noSchema, 'seed', '--file', 'seed.ts')
    await refused(noSchema, 'generate')
    await refused(noSchema, 'verify', '--code-only')
    await putFifo(project, 'drizzle.config.ts')
    await refused(/^rivulet: .*\/drizzle\.config\.ts cannot be loaded: it is a FIFO/, 'status')
    await putFifo(project, 'other.json')
    await refused(/^rivulet: .*\/other\.json cannot be loaded: it is a FIFO/, 'status', '--config', 'other.json')
  })
})
