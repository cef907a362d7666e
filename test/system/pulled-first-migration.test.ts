/** A project that was begun with `drizzle-kit pull`, whose first file is one comment, and continued with drizzle-kit. */
import { execFile } from 'node:child_process'
import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { withConnection } from '../../src/migrate/connect.ts'
import { type CliProject, makeProject } from '../support/cli-project.ts'
import { rowsOf } from '../support/migrations.ts'

const drizzleKit = new URL('../../node_modules/drizzle-kit/bin.cjs', import.meta.url).pathname
const road = /Remove its \/\* and \*\/, .*`rivulet baseline --to (\w+) --accept-changed`/

/** One table, whose comment is sound SQL; and two statements, between which breakpoints cut the comment apart. */
const before = {
  'one statement': 'create table people (id integer primary key, name text)',
  'several statements':
    "create type mood as enum ('a', 'b'); create table people (id integer primary key, name text, mood mood default 'a');" +
    'create index people_name on people (name)',
}

/** As drizzle-kit and its driver take them: a URL with a socket in it is none to them. */
function credentials(url: string) {
  const { searchParams, username, password, pathname, hostname, port } = new URL(url.replace('@/', '@socket/'))
  return {
    host: hostname === 'socket' ? searchParams.get('host')! : hostname,
    port: Number(searchParams.get('port') ?? port),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: pathname.slice(1),
    ssl: false as const,
  }
}

/** drizzle-kit pull, then generate; and what it has made is applied as `migrate()` does, as far as that can. */
async function begun({ directory, database, write }: CliProject, script: string): Promise<string> {
  await withConnection(database.url, (connection) => connection.script(script))
  const config = {
    dialect: 'postgresql',
    schema: './schema.ts',
    out: './migrations',
    dbCredentials: credentials(database.url),
  }
  await write({ 'kit.config.json': JSON.stringify(config) })
  const kit = (command: string, ...args: string[]) =>
    promisify(execFile)(process.execPath, [drizzleKit, command, '--config=kit.config.json', ...args], {
      cwd: directory,
    })
  await kit('pull')
  await cp(join(directory, 'migrations', 'schema.ts'), join(directory, 'schema.ts'))
  const first = (await readdir(join(directory, 'migrations'))).find((name) => name.endsWith('.sql'))!
  const schema = await readFile(join(directory, 'schema.ts'), 'utf8')
  await write({ 'schema.ts': schema.replace('name: text()', 'name: text(),\n\tnote: text()') })
  await kit('generate', '--name=note')
  return first.replace('.sql', '')
}

describe('a first file that is one comment, followed by others', { timeout: 240_000 }, () => {
  test.each(Object.entries(before))('of %s has one road, which every refusal names', async (_, script) => {
    await using project = await makeProject()
    const first = await begun(project, script)
    for (const args of [['verify'], ['pull', '--force'], ['migrate'], ['baseline', '--to', first]]) {
      const { exitCode, stdout, stderr } = await project.rivulet(...args)
      expect([args, exitCode, road.exec(stdout + stderr)?.[1]]).toEqual([args, expect.any(Number), first])
      expect(exitCode).not.toBe(0)
    }
    const { exitCode, stdout } = await project.rivulet('lint', '--try')
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/pulled-comment: .*\n.*\n {2}Safe way:\n.*remove \/\* and \*\/,/)
    expect(stdout).toMatch(/it was not tried/)
    expect(stdout).not.toMatch(/SELECT 1| syntax: |it was tried/)

    // The road.
    const path = join('migrations', `${first}.sql`)
    const text = await readFile(join(project.directory, path), 'utf8')
    await project.write({ [path]: text.replace('/*', '').replace(/\*\/\s*$/, '') })
    expect(await project.rivulet('lint', '--try')).toMatchObject({ exitCode: 0 })
    expect(await project.rivulet('baseline', '--to', first, '--accept-changed')).toMatchObject({ exitCode: 0 })
    expect(await project.rivulet('migrate')).toMatchObject({ exitCode: 0 })
    expect(await project.rivulet('verify')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/migrations agree\.[^]*The live database matches the migrations\./),
    })
    expect(await rowsOf(project.database.url, 'select note from people')).toEqual([])
  })

  test('that an earlier run has entered is taken over with its new text', async () => {
    await using project = await makeProject()
    const first = await begun(project, before['one statement'])
    const path = join('migrations', `${first}.sql`)
    const text = await readFile(join(project.directory, path), 'utf8')
    // Drizzle's own migrate() takes one comment for a migration that does nothing, and enters it.
    const { migrate } = await import('drizzle-orm/postgres-js/migrator')
    const { drizzle } = await import('drizzle-orm/postgres-js')
    const { default: postgres } = await import('postgres')
    const client = postgres({ ...credentials(project.database.url), max: 1, onnotice: () => {} })
    try {
      await migrate(drizzle(client), { migrationsFolder: join(project.directory, 'migrations') })
    } finally {
      await client.end()
    }
    expect(await project.rivulet('verify')).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(road) })
    await project.write({ [path]: text.replace('/*', '').replace(/\*\/\s*$/, '') })
    expect(await project.rivulet('baseline', '--to', first, '--accept-changed')).toMatchObject({ exitCode: 0 })
    expect(await project.rivulet('verify')).toMatchObject({ exitCode: 0 })
  })
})
