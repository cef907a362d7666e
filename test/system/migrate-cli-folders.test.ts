/** The `rivulet` command in a project whose migrations drizzle-kit 1.0 has laid out: folders, and no journal. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type CliProject, makeProject, schema } from '../support/cli-project.ts'
import { rowsOf } from '../support/migrations.ts'

describe('a project that drizzle-kit 1.0 has laid out', { timeout: 180_000 }, () => {
  const first = '20250101000000_one'
  const create = 'CREATE TABLE "people" ("id" integer PRIMARY KEY, "nmae" text);'

  async function makeNewProject(): Promise<CliProject> {
    const project = await makeProject()
    await mkdir(join(project.directory, 'migrations', first), { recursive: true })
    // Of a version that the drizzle-kit of today cannot read.
    const files = { 'migration.sql': create, 'snapshot.json': '{"version":"8"}' }
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(project.directory, 'migrations', first, name), text)
    }
    return project
  }

  test('is not begun anew by generate, nor by pull', async () => {
    await using project = await makeNewProject()
    for (const options of [[], ['--custom', '--name', 'mine']]) {
      expect(await project.rivulet('generate', ...options)).toMatchObject({
        exitCode: 64,
        stderr: expect.stringMatching(
          /migrations has the layout of drizzle-kit 1\.0 \(20250101000000_one\/migration\.sql\).*`drizzle-kit generate`, with/,
        ),
      })
    }
    await rm(join(project.directory, 'schema.ts'))
    expect(await project.rivulet('pull')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringMatching(/has the layout of/),
    })
    expect(await readdir(join(project.directory, 'migrations'))).toEqual([first])
    expect(existsSync(join(project.directory, 'schema.ts'))).toBe(false)
  })

  test('is verified by what its migrations make, without snapshots', async () => {
    await using project = await makeNewProject()
    expect(await project.rivulet('migrate')).toMatchObject({ exitCode: 0 })
    const agreement =
      /^The schema in code and the migrations agree\.\nThe snapshots of drizzle-kit 1\.0 were not compared/
    expect(await project.rivulet('verify')).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(agreement) })
    expect(await project.rivulet('verify', '--code-only')).toMatchObject({ exitCode: 0 })
    await project.write({ 'schema.ts': schema('nmae: text(), note: text()') })
    await rowsOf(project.database.url, 'alter table people add extra text')
    const { exitCode, stdout } = await project.rivulet('verify')
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/- column public\.people\.note: text\n/)
    expect(stdout).toMatch(/\+ column public\.people\.extra: text\n/)
    expect(stdout).toMatch(/drizzle-kit generate --custom/)
    expect(stdout).not.toMatch(/rivulet generate/)
  })

  test('with a journal beside the folders is refused by every command', async () => {
    await using project = await makeNewProject()
    await mkdir(join(project.directory, 'migrations', 'meta'))
    const entries = [{ idx: 0, version: '7', when: 1, tag: '0000_x', breakpoints: true }]
    await writeFile(join(project.directory, 'migrations', 'meta', '_journal.json'), JSON.stringify({ entries }))
    await writeFile(join(project.directory, 'migrations', '0000_x.sql'), create)
    const both = /migrations has both layouts of drizzle-kit.*Remove the one that was never applied/
    for (const command of ['status', 'migrate', 'generate', 'verify', 'lint']) {
      const { exitCode, stderr } = await project.rivulet(command)
      expect([command, exitCode, stderr]).toEqual([command, 3, expect.stringMatching(both)])
      expect(stderr).not.toContain(tmpdir() + '/rivulet-verify-')
    }
    expect(await rowsOf(project.database.url, "select from pg_class where relname = 'people'")).toEqual([])
  })
})
