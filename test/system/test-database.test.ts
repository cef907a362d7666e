/** `openTestDatabase` of `rivulet/testing`: templates that are whole or not there, and nothing left behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterEach, expect, inject, test } from 'vitest'
import { openEngine } from '../../src/engine.ts'
import { ConfigInvalid, ConnectionLost, MigrationFailed, MigrationRefused, UsageError } from '../../src/errors.ts'
import { openTestDatabase } from '../../src/testing/test-database.ts'
import { compiledProgram } from '../support/compiled-package.ts'
import { makeFolder, rowsOf } from '../support/migrations.ts'

const notes = pgTable('notes', { id: integer().primaryKey(), text: text().notNull() })
const schema = { notes }
const url = inject('serverUrl')
const program = compiledProgram('test/support/child-test-database.ts')
const children: ChildProcess[] = []
afterEach(() => children.splice(0).forEach((child) => child.kill('SIGKILL')))

/** Migrations that nobody had before, so that their template is not there. */
function folderWith(script = '') {
  const unique = `-- ${randomBytes(8).toString('hex')}`
  return makeFolder({
    '0000_notes': `${unique}\ncreate table notes (id int primary key, text text not null);\n${script}`,
  })
}

function start(folder: string, what: string) {
  const child = spawn(process.execPath, [program, url, folder, what], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

async function firstLine(child: ReturnType<typeof start>): Promise<string> {
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
  return chunk.toString()
}

const databases = async (pattern: string) =>
  (await rowsOf(url, `select datname from pg_database where datname ~ '${pattern}' order by 1`)).flat()
const clones = () => databases('^rivulet_test_')
const templates = () => databases('^rivulet_template_')
const count = async (at: string) => (await rowsOf(at, 'select count(*)::int from notes'))[0]?.[0]

test('clones have the migrations and the seed, which ran once, and know nothing of each other', async () => {
  await using migrations = await folderWith()
  let seeded = 0
  const run = async (engine: Awaited<ReturnType<typeof openEngine<typeof schema>>>) => {
    seeded += 1
    await engine.session(({ repository }) => repository(notes).insert({ id: 1, text: 'seeded' }))
  }
  const options = { url, migrations: migrations.folder, schema, seed: { run, files: [] } }
  await using one = await openTestDatabase(options)
  await using other = await openTestDatabase(options)
  expect(seeded).toBe(1)
  await using engine = await openEngine({
    schema,
    url: one.url,
    migrations: 'verify',
    migrationsFolder: migrations.folder,
  })
  await engine.session(({ repository }) => repository(notes).insert({ id: 2, text: 'mine' }))
  expect([await count(one.url), await count(other.url)]).toEqual([2, 1])
  await one[Symbol.asyncDispose]()
  expect(await clones()).toEqual(expect.not.arrayContaining([one.name]))
  expect(await clones()).toContain(other.name)
})

test('another template is built when a migration or a file of the seed has changed', async () => {
  await using migrations = await folderWith()
  const file = join(migrations.folder, 'rows.json')
  const options = {
    url,
    migrations: migrations.folder,
    schema,
    seed: {
      files: [file],
      run: async (engine: Awaited<ReturnType<typeof openEngine<typeof schema>>>) => {
        const rows = JSON.parse(await readAll((await import('node:fs')).createReadStream(file))) as {
          id: number
          text: string
        }[]
        await engine.session(({ repository }) => repository(notes).insertMany(rows))
      },
    },
  }
  const counted = async () => {
    await using database = await openTestDatabase(options)
    return await rowsOf(database.url, 'select * from notes order by id')
  }
  await writeFile(file, JSON.stringify([{ id: 1, text: 'a' }]))
  expect(await counted()).toEqual([[1, 'a']])
  await writeFile(
    file,
    JSON.stringify([
      { id: 1, text: 'a' },
      { id: 2, text: 'b' },
    ]),
  )
  expect(await counted()).toHaveLength(2)
  await migrations.write({ '0001_more': 'alter table notes add column more int' })
  expect((await counted())[0]).toEqual([1, 'a', null])
})

test('a migration or a seed that fails is told as it is, every time, and leaves no database', async () => {
  await using broken = await folderWith('select 1 / 0;')
  await using whole = await folderWith()
  let draft: string | undefined
  const run = async (engine: Awaited<ReturnType<typeof openEngine<typeof schema>>>) => {
    const [at] = await engine.session(({ sql }) => sql<{ name: string }>`select current_database() as name`)
    draft = at?.name
    throw new Error('no rows today')
  }
  for (let round = 0; round < 2; round += 1) {
    const failed = await openTestDatabase({ url, migrations: broken.folder }).catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(MigrationFailed)
    expect((failed as MigrationFailed).message).toContain('0000_notes.sql')
    const unseeded = openTestDatabase({ url, migrations: whole.folder, schema, seed: { run, files: [] } })
    await expect(unseeded).rejects.toThrow('no rows today')
    expect(draft).toMatch(/^rivulet_test_/)
    expect(await clones()).not.toContain(draft)
  }
  await rm(join(whole.folder, '0000_notes.sql'))
  await expect(openTestDatabase({ url, migrations: whole.folder })).rejects.toBeInstanceOf(MigrationRefused)
  await broken.write({ '0000_notes': '-- mended\ncreate table notes (id int primary key, text text not null)' })
  await using database = await openTestDatabase({ url, migrations: broken.folder })
  expect(await count(database.url)).toBe(0)
})

test('eight processes that need the same template at once build it once', async () => {
  await using migrations = await folderWith()
  const outputs = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const child = start(migrations.folder, 'once')
      const [output] = await Promise.all([readAll(child.stdout), once(child, 'exit')])
      return { output, exitCode: child.exitCode }
    }),
  )
  const lines = outputs.flatMap(({ output }) => output.trim().split('\n'))
  expect(outputs.map(({ exitCode }) => exitCode)).toEqual(Array.from({ length: 8 }, () => 0))
  expect(lines.filter((line) => line.startsWith('seeding '))).toHaveLength(1)
  const opened = lines.filter((line) => /^opened rivulet_test_\w+ 1$/.test(line))
  expect(new Set(opened).size).toBe(8)
  const names = new Set(opened.map((line) => line.split(' ')[1]))
  expect((await clones()).filter((name) => names.has(String(name)))).toEqual([])
})

test('what a killed process leaves behind is removed by the next one, and nothing that is in use', async () => {
  await using migrations = await folderWith()
  await using own = await openTestDatabase({ url, migrations: migrations.folder })
  const nameOf = async (child: ReturnType<typeof start>) => {
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await expect.poll(() => output).toMatch(/opened \w+ 1\n/)
    return /opened (\w+)/.exec(output)?.[1] ?? ''
  }
  const killed = start(migrations.folder, 'hold')
  const living = start(migrations.folder, 'hold')
  const [left, used] = [await nameOf(killed), await nameOf(living)]
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  await expect
    .poll(async () => {
      await using _ = await openTestDatabase({ url, migrations: migrations.folder })
      return clones()
    })
    .not.toContain(left)
  expect(await clones()).toEqual(expect.arrayContaining([own.name, used]))
})

test('a process killed while it builds leaves no template, and the next one builds it', async () => {
  await using migrations = await folderWith()
  const killed = start(migrations.folder, 'hang')
  const draft = /^seeding (\w+)/.exec(await firstLine(killed))?.[1]
  expect(await clones()).toContain(draft)
  killed.kill('SIGKILL')
  const next = start(migrations.folder, 'once')
  const [output] = await Promise.all([readAll(next.stdout), once(next, 'exit')])
  expect(output).toMatch(/^seeding \w+\nopened \w+ 1\n$/)
  await expect
    .poll(async () => {
      await using _ = await openTestDatabase({ url, migrations: migrations.folder })
      return clones()
    })
    .not.toContain(draft)
})

test('a template that nobody has cloned for a day is removed, one that is in use is not', async () => {
  await using old = await folderWith()
  const before = await templates()
  await (await openTestDatabase({ url, migrations: old.folder }))[Symbol.asyncDispose]()
  const outdated = (await templates()).find((name) => !before.includes(name))
  const twoDaysAgo = new Date(Date.now() - 2 * 86_400_000).toISOString()
  await rowsOf(url, `comment on database ${String(outdated)} is 'last used ${twoDaysAgo}'`)
  // Whoever uses it says so first.
  await using database = await openTestDatabase({ url, migrations: old.folder })
  expect(database.name).toMatch(/^rivulet_test_/)
  expect(await templates()).toContain(outdated)
  await rowsOf(url, `comment on database ${String(outdated)} is 'last used ${twoDaysAgo}'`)
  await using other = await folderWith()
  await expect
    .poll(async () => {
      await using _ = await openTestDatabase({ url, migrations: other.folder })
      return templates()
    })
    .not.toContain(outdated)
  expect(await count(database.url)).toBe(0)
})

test('what cannot be is refused with what to do', async () => {
  await using migrations = await folderWith()
  const role = `rivulet_poor_${randomBytes(4).toString('hex')}`
  await rowsOf(url, `create role ${role} login password 'secret'`)
  const poor = url.replace(/\/\/[^@]*@/, `//${role}:secret@`)
  const refused = openTestDatabase({ url: poor, migrations: migrations.folder })
  await expect(refused).rejects.toThrow('grant it CREATEDB')
  await expect(refused).rejects.toBeInstanceOf(ConfigInvalid)
  await rowsOf(url, `drop role ${role}`)
  const seed = { run: () => undefined, files: [] }
  await expect(openTestDatabase({ url, migrations: migrations.folder, seed })).rejects.toBeInstanceOf(UsageError)
  await expect(openTestDatabase({ url, migration: 'x' } as never)).rejects.toBeInstanceOf(UsageError)
  const nothing = (openTestDatabase as () => Promise<unknown>)()
  await expect(nothing).rejects.toThrow('openTestDatabase takes options')
  await expect(nothing).rejects.toBeInstanceOf(UsageError)
  const gone = new URL('./no-such-rows.json', import.meta.url)
  for (const file of [gone, './no-such-rows.json', new URL('https://example.org/rows.json')]) {
    const unread = openTestDatabase({ url, migrations: migrations.folder, schema, seed: { ...seed, files: [file] } })
    await expect(unread).rejects.toThrow(`seed.files names ${String(file)}, which cannot be read`)
    await expect(unread).rejects.toBeInstanceOf(ConfigInvalid)
  }
  const away = openTestDatabase({ url: 'postgres://nobody@127.0.0.1:1/none', migrations: migrations.folder })
  await expect(away).rejects.toBeInstanceOf(ConnectionLost)
})
