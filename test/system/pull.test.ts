/** `rivulet pull`: from a database to a schema and a first migration that say the same as it. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { withConnection } from '../../src/migrate/connect.ts'
import { compiledProgram } from '../support/compiled-package.ts'
import { scriptTemplate, openTestDatabase, type TestDatabase } from '../support/database.ts'
import { asKnown, hasNullsNotDistinct, hasVirtualColumns } from '../support/server-version.ts'

const root = new URL('../../', import.meta.url).pathname
const everyKind = asKnown(await readFile(join(root, 'test/support/pulled.sql'), 'utf8'))
const small = 'create table t (id integer primary key, name text)'

interface Project extends AsyncDisposable {
  readonly directory: string
  rivulet(...args: string[]): Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>
}

async function makeProject({ url }: TestDatabase): Promise<Project> {
  const directory = await mkdtemp(join(tmpdir(), 'rivulet-pull-'))
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  await writeFile(join(directory, 'package.json'), '{"type":"module"}')
  const config = { dialect: 'postgresql', schema: './db/schema.ts', out: './migrations' }
  await writeFile(join(directory, 'drizzle.config.json'), JSON.stringify(config))
  return {
    directory,
    rivulet: async (...args) => {
      const command = [compiledProgram('src/cli/main.ts'), ...args]
      const env = { ...process.env, DATABASE_URL: url }
      const child = spawn(process.execPath, command, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] })
      const [stdout, stderr, [exitCode]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'close') as Promise<[number]>,
      ])
      return { exitCode, stdout, stderr }
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

const databaseOf = (name: string, script: string) => openTestDatabase(scriptTemplate(name, script))
const agreement = /The schema in code and the migrations agree\.[^]*The live database matches the migrations\./

// Each command is a process: seconds of work, many times that on a busy machine.
describe('pull', { timeout: 240_000 }, () => {
  test('leads from a database of every kind of object to a schema, a baseline and a verify that agrees', async () => {
    await using database = await databaseOf('pulled', everyKind)
    await using project = await makeProject(database)
    const pulled = await project.rivulet('pull', '--json')
    expect(pulled).toMatchObject({ exitCode: 0 })
    const { notes, ...rest } = JSON.parse(pulled.stdout) as { notes: { object: string; line: number }[] }
    expect(rest).toMatchObject({
      schema: 'db/schema.ts',
      migration: 'migrations/0000_baseline.sql',
      differences: [],
      declared: { differences: [], refused: [] },
    })
    // What the schema cannot say, or says otherwise, is named with the line where it stands.
    const schema = await readFile(join(project.directory, 'db/schema.ts'), 'utf8')
    const lines = schema.split('\n')
    const isThere = ([object = '']: readonly string[]) =>
      (hasNullsNotDistinct || !object.includes('film_nulls')) && (hasVirtualColumns || !object.includes('film.tail'))
    const expected = [
      ['enum public."Mo""od"', '// In the migration alone: enum public."'],
      ['table public."in ""chief"', '// In the migration alone: table public.'],
      ['table public.quoted_column', '// In the migration alone: table public.'],
      ['table "od""d".t', '// In the migration alone: table "od""d"'],
      ['view "od""d".v', '// In the migration alone: view "od""d".'],
      ['sequence public.numbered_num_seq', '// In the migration alone: sequence publ'],
      ['sequence public.numbered_was_seq', '// In the migration alone: sequence publ'],
      ['sequence public.small_numbers', '// In the migration alone: sequence publ'],
      ['default of column public.borrowing.id', "id: integer('id').primaryKey(), // in th"],
      ['column public.film.tail', "tail: integer('tail').generatedAlwaysAs("],
      ['constraint film_other on public.film', "foreignKey({ name: 'film_other', columns"],
      ['constraint film_text on public.film', '// In the migration alone: constraint fi'],
      ['constraint film_empty on public.film', '// In the migration alone: constraint fi'],
      ['index film_include on public.film', "index('film_include').using('btree', tab"],
      ['index film_nulls on public.film', "uniqueIndex('film_nulls').using('btree',"],
      ['policy guarded_own on public.guarded', '// In the migration alone: policy guarde'],
      ['default of column public.numbered.num', "num: integer('num'), // in the migration"],
      ['constraint later on public.old_numbers', '// In the migration alone: constraint la'],
      ['policy dormant on public.old_numbers', '// In the migration alone: policy dorman'],
      ['constraint quoting_chief_fkey on public.quoting', '// In the migration alone: constraint qu'],
      ['constraint "quo""ted" on public.quoting', '// In the migration alone: constraint "q'],
      ['index "so""me" on public.quoting', '// In the migration alone: index "so""me'],
    ].filter(isThere)
    expect(notes.map(({ object, line }) => [object, lines[line - 1]?.trim().slice(0, 40)])).toEqual(expected)
    expect(await project.rivulet('baseline', '--to', '0000')).toMatchObject({ exitCode: 0 })
    expect(await project.rivulet('verify')).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(agreement) })
    expect((await project.rivulet('generate')).stdout).toMatch(/The schema has not changed/)

    // A new database gets all of it by migrating.
    await using other = await databaseOf('empty', 'select')
    await using copy = await makeProject(other)
    for (const folder of ['db', 'migrations']) {
      await cp(join(project.directory, folder), join(copy.directory, folder), { recursive: true })
    }
    expect(await copy.rivulet('migrate')).toMatchObject({ exitCode: 0 })
    expect(await copy.rivulet('verify')).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(agreement) })

    // The types of what was written hold, and so do its tables.
    const options = { module: 'nodenext', target: 'es2022', strict: true, noEmit: true, skipLibCheck: true, types: [] }
    const tsconfig = join(project.directory, 'tsconfig.json')
    await writeFile(tsconfig, JSON.stringify({ compilerOptions: options, files: ['db/schema.ts'] }))
    await promisify(execFile)(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', tsconfig])
    const reading = `
      import { openEngine } from '${root}src/engine.ts'
      import * as schema from './db/schema.ts'
      await using engine = await openEngine({ schema, url: process.env.DATABASE_URL })
      const found = await engine.session(async ({ db }) => {
        await db.insert(schema.order).values({ region: 'eu', number: 1, oddName: 'x' })
        await db.insert(schema.film).values({ filmId: 1, orderNumber: 1, orderRegion: 'eu', feeling: "it's bad" })
        return db.query.film.findMany({ with: { order: true }, columns: { code: true, slash: true, twice: true } })
      })
      console.log(JSON.stringify(found))`
    await writeFile(join(copy.directory, 'reading.ts'), reading)
    const loader = ['--import', `${root}node_modules/tsx/dist/loader.mjs`, join(copy.directory, 'reading.ts')]
    const { stdout } = await promisify(execFile)(process.execPath, loader, {
      cwd: copy.directory,
      env: { ...process.env, DATABASE_URL: other.url },
    })
    expect(JSON.parse(stdout)).toEqual([
      { code: 'c100', slash: 'a\\b\nc`${d}', twice: 2, order: { region: 'eu', number: 1, oddName: 'x' } },
    ])
  })

  test('names object by object what it could not bring along', async () => {
    await using database = await databaseOf(
      'foreign',
      `${small}; create foreign data wrapper w; create server s foreign data wrapper w;
       create foreign table far (id integer) server s`,
    )
    await using project = await makeProject(database)
    const { exitCode, stdout } = await project.rivulet('pull')
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/The schema in code and the migrations agree/)
    expect(stdout).toMatch(/The live database differs from the migrations[^]*\+ table public\.far: foreign/)
    // What is written by hand before the baseline counts.
    const file = join(project.directory, 'migrations', '0000_baseline.sql')
    const byHand = `--> statement-breakpoint\ncreate foreign data wrapper w; create server s foreign data wrapper w;
      create foreign table far (id integer) server s;\n`
    await appendFile(file, byHand)
    expect(await project.rivulet('baseline', '--to', '0000')).toMatchObject({ exitCode: 0 })
    expect(await project.rivulet('verify')).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(agreement) })
  })

  test('names what it wrote and why it cannot be tried when something is missing that it does not read', async () => {
    await using database = await databaseOf(
      'operators',
      `${small}; create operator === (leftarg = text, rightarg = text, function = texteq);
       create index t_same on t ((name === 'a'))`,
    )
    await using project = await makeProject(database)
    const { exitCode, stdout } = await project.rivulet('pull')
    expect([exitCode, stdout]).toEqual([
      1,
      expect.stringMatching(/Wrote db\/schema\.ts[^]*Not compared: .*operator does not/),
    ])
  })

  test('replaces the comment that drizzle-kit pull wrote, and nothing else unless it is told to', async () => {
    await using database = await databaseOf('small', small)
    await using project = await makeProject(database)
    const meta = join(project.directory, 'migrations', 'meta')
    await mkdir(meta, { recursive: true })
    const entries = [{ idx: 0, version: '7', when: 1, tag: '0000_odd_name', breakpoints: true }]
    await writeFile(join(meta, '_journal.json'), JSON.stringify({ version: '7', dialect: 'postgresql', entries }))
    await writeFile(join(meta, '0000_snapshot.json'), '{}')
    const comment = '/*\nCREATE TABLE "t" ("id" integer);\n--> statement-breakpoint\n*/'
    await writeFile(join(project.directory, 'migrations', '0000_odd_name.sql'), comment)
    expect(await project.rivulet('pull')).toMatchObject({ exitCode: 0 })
    expect((await readdir(join(project.directory, 'migrations'))).sort()).toEqual(['0000_baseline.sql', 'meta'])
    expect(await project.rivulet('pull')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringMatching(/db\/schema\.ts already exists: --force overwrites it/),
    })
    expect(await project.rivulet('pull', '--force')).toMatchObject({ exitCode: 0 })
    expect(await project.rivulet('baseline', '--to', '0')).toMatchObject({ exitCode: 0 })
    expect(await project.rivulet('verify')).toMatchObject({ exitCode: 0 })
    const file = join(project.directory, 'migrations', '0000_baseline.sql')
    await writeFile(file, (await readFile(file, 'utf8')).replace(/^-- Made by.*\n/, ''))
    expect(await project.rivulet('pull', '--force')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringMatching(/there are already migrations, beginning with 0000_baseline/),
    })
  })

  test('leaves all as it was when drizzle-kit fails, and needs no --force for what it has not written', async () => {
    await using database = await databaseOf('small', small)
    await using project = await makeProject(database)
    const before = await filesOf(project.directory)
    const change = (sql: string) => withConnection(database.url, (connection) => connection.script(sql))
    // No object of JavaScript has such a property, and so drizzle-kit finds no column.
    const unspeakable = 'alter table t add "__proto__" text'
    await change(unspeakable)
    expect(await project.rivulet('pull')).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/drizzle-kit/) })
    expect(await filesOf(project.directory)).toEqual(before)
    await change('alter table t drop "__proto__"')
    expect(await project.rivulet('pull')).toMatchObject({ exitCode: 0 })
    const pulled = await filesOf(project.directory)
    expect(pulled).toHaveLength(before.length + 4)
    await change(unspeakable)
    expect(await project.rivulet('pull', '--force')).toMatchObject({ exitCode: 1 })
    expect(await filesOf(project.directory)).toEqual(pulled)
  })

  test('leaves all as it was when its last file finds no place', async () => {
    await using database = await databaseOf('small', small)
    await using project = await makeProject(database)
    await writeFile(join(project.directory, 'db'), 'a file where the folder of the schema belongs')
    await mkdir(join(project.directory, 'migrations', 'meta'), { recursive: true })
    const journal = JSON.stringify({ version: '7', dialect: 'postgresql', entries: [] })
    await writeFile(join(project.directory, 'migrations', 'meta', '_journal.json'), journal)
    const before = await filesOf(project.directory)
    expect((await project.rivulet('pull')).exitCode).not.toBe(0)
    expect(await filesOf(project.directory)).toEqual(before)
    await rm(join(project.directory, 'db'))
    expect(await project.rivulet('pull')).toMatchObject({ exitCode: 0 })
  })

  test('says that it compared nothing where no scratch database may be made, and takes another server’s', async () => {
    await using database = await databaseOf('small', small)
    const name = `rivulet_pull_${process.pid}`
    await withConnection(database.url, async (connection) => {
      await connection.script(`drop role if exists ${name}; create role ${name} login password 'p' nocreatedb`)
    })
    try {
      const url = asRole(database.url, name)
      await using project = await makeProject({ ...database, url })
      const { exitCode, stdout } = await project.rivulet('pull')
      expect([exitCode, stdout]).toEqual([1, expect.stringMatching(/Not compared: .*--scratch URL/)])
      const again = await project.rivulet('pull', '--force', '--scratch', database.url)
      expect(again).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(agreement) })
    } finally {
      await withConnection(database.url, (connection) => connection.script(`drop role ${name}`))
    }
  })

  test('is gone on from by generate, also with types that drizzle-kit cannot quote', async () => {
    await using database = await databaseOf(
      'types',
      `${small}; create schema app; create domain app.email as text; create domain "Pub" as text; create domain plain as text`,
    )
    await using project = await makeProject(database)
    expect(await project.rivulet('pull')).toMatchObject({ exitCode: 0 })
    const schema = `
      import { customType, integer, pgTable } from 'drizzle-orm/pg-core'
      const email = customType<{ data: string }>({ dataType: () => 'app.email' })
      const pub = customType<{ data: string }>({ dataType: () => '"Pub"' })
      const plain = customType<{ data: string }>({ dataType: () => 'plain' })
      export const t = pgTable('t', { id: integer('id').primaryKey(), name: plain('name'), a: email('a').array(), b: pub('b') })`
    await writeFile(join(project.directory, 'db/schema.ts'), schema)
    // It tries what it wrote.
    expect(await project.rivulet('generate', '--name', 'types')).toMatchObject({ exitCode: 0 })
    expect(await readFile(join(project.directory, 'migrations/0001_types.sql'), 'utf8')).toBe(
      [
        'ALTER TABLE "t" ALTER COLUMN "name" SET DATA TYPE "plain";',
        'ALTER TABLE "t" ADD COLUMN "a" app.email[];',
        'ALTER TABLE "t" ADD COLUMN "b" "Pub";',
      ].join('--> statement-breakpoint\n'),
    )
  })

  test('has nothing to do in an empty database', async () => {
    await using database = await databaseOf('empty', 'select')
    await using project = await makeProject(database)
    expect(await project.rivulet('pull')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringMatching(/there is nothing to pull: no table in public/),
    })
  })
})

/** Every file of a project with its text, in order. */
async function filesOf(directory: string): Promise<readonly (readonly [string, string])[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  return Promise.all(paths.sort().map(async (path) => [path, await readFile(path, 'utf8')] as const))
}

function asRole(url: string, role: string): string {
  return url.replace(/\/\/[^@/]*@/, `//${role}:p@`)
}
