import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import { findMigration, readMigrations } from '../../src/migrate/files/folder.ts'
import { strayFiles } from '../../src/migrate/files/layout.ts'
import { makeFolder, makeFolders, writeJournal } from '../support/migrations.ts'

const two = { '0000_init': 'select 1', '0001_more': 'select 2' }

describe('readMigrations', () => {
  test('answers the files in the journal’s order, with Drizzle’s hash', async () => {
    await using project = await makeFolder({ ...two, '0001_more.down': 'select 3' })
    const migrations = await readMigrations(project.folder)
    expect(migrations.map(({ name, downPath }) => [name, downPath !== undefined])).toEqual([
      ['0000_init', false],
      ['0001_more', true],
    ])
    expect(migrations[0]?.hash).toBe('822ae07d4783158bc1912bb623e5107cc9002d519e1143a9c200ed6ee18b6d0f')
  })

  test('takes a file whose line ends were converted for the same', async () => {
    await using unix = await makeFolder({ '0000_a': 'select 1;\nselect 2;\n' })
    await using windows = await makeFolder({ '0000_a': 'select 1;\r\nselect 2;\r\n' })
    const [a] = await readMigrations(unix.folder)
    const [b] = await readMigrations(windows.folder)
    expect(a?.hash).not.toBe(b?.hash)
    expect(a?.sameHashes).toContain(b?.hash)
    expect(b?.sameHashes).toContain(a?.hash)
  })

  const broken: [string, (folder: string) => Promise<unknown>, RegExp][] = [
    ['is missing', (folder) => rm(folder, { recursive: true }), /no migrations folder at .* run `rivulet generate`/],
    ['has no journal', (folder) => rm(join(folder, 'meta', '_journal.json')), /_journal\.json is missing/],
    ['has a journal that is no JSON', (folder) => journalText(folder, '{"entries": ['), /is not valid JSON/],
    [
      'has a journal with a merge conflict',
      (folder) => journalText(folder, '{\n<<<<<<< ours\n=======\n>>>>>>> theirs\n}'),
      /marks of a merge conflict/,
    ],
    ['has a journal without entries', (folder) => journalText(folder, '{}'), /no list of entries/],
    ['is of another dialect', (folder) => journalText(folder, '{"dialect":"mysql","entries":[]}'), /dialect "mysql"/],
    [
      'has an entry without a time',
      (folder) => writeJournal(folder, [{ tag: '0000_init' }]),
      /entry 0 .* has no tag or no time/,
    ],
    ['has an entry outside', (folder) => writeJournal(folder, [{ tag: '../x', when: 1 }]), /entry 0 /],
    [
      'lacks a file',
      (folder) => rm(join(folder, '0001_more.sql')),
      /0001_more\.sql is in the journal but not in the folder/,
    ],
    [
      'has two files with one number',
      (folder) => writeJournal(folder, entries('0000_init', '0001_more', '0001_other')),
      /0001_more and 0001_other have the same number/,
    ],
    [
      'lists a file twice',
      (folder) => writeJournal(folder, entries('0000_init', '0001_more', '0001_more')),
      /lists 0001_more twice/,
    ],
    [
      'has a file in UTF-16',
      (folder) => writeFile(join(folder, '0001_more.sql'), '\uFEFFselect 1', 'utf16le'),
      /is UTF-16: save it as UTF-8/,
    ],
    [
      'has a file in Latin-1',
      (folder) => writeFile(join(folder, '0001_more.sql'), "select 'é'", 'latin1'),
      /is not UTF-8/,
    ],
    ['has a file with NUL', (folder) => writeFile(join(folder, '0001_more.sql'), 'select 1\0'), /NUL character/],
    [
      'has a folder for a file',
      (folder) => replaceByFolder(join(folder, '0001_more.sql')),
      /it is a folder, not a file/,
    ],
    ['has a FIFO for a file', (folder) => replaceByFifo(join(folder, '0001_more.sql')), /it is a FIFO, not a file/],
    ['has a FIFO for a journal', (folder) => replaceByFifo(join(folder, 'meta', '_journal.json')), /is a FIFO/],
  ]
  test.each(broken)('refuses as inconsistent a folder that %s', async (_, spoil, message) => {
    await using project = await makeFolder(two)
    await spoil(project.folder)
    await expect(readMigrations(project.folder)).rejects.toMatchObject({
      reason: 'inconsistent',
      message: expect.stringMatching(message),
    })
  })

  test('leaves SQL files that are not in the journal alone, as Drizzle does, and names those that look like migrations', async () => {
    await using project = await makeFolder(two)
    for (const name of ['seed.sql', '0002_mine.sql', '0003_other.down.sql']) {
      await writeFile(join(project.folder, name), 'select 3')
    }
    expect(await readMigrations(project.folder)).toHaveLength(2)
    expect(await strayFiles(project.folder)).toEqual(['0002_mine.sql', '0003_other.down.sql'])
  })
})

describe('the layout of drizzle-kit 1.0', () => {
  const first = '20260102030405_init'
  const second = '20260102030406_more'

  test('is read in the order of the folders’ names, with the time that Drizzle takes from them', async () => {
    await using project = await makeFolders({ [second]: 'select 2', [first]: 'select 1' })
    await writeFile(join(project.folder, second, 'down.sql'), 'select 3')
    const migrations = await readMigrations(project.folder)
    expect(migrations.map(({ name, file, when, downPath }) => [name, file, when, downPath !== undefined])).toEqual([
      [first, `${first}/migration.sql`, Date.UTC(2026, 0, 2, 3, 4, 5), false],
      [second, `${second}/migration.sql`, Date.UTC(2026, 0, 2, 3, 4, 6), true],
    ])
    expect(migrations[0]?.hash).toBe('822ae07d4783158bc1912bb623e5107cc9002d519e1143a9c200ed6ee18b6d0f')
  })

  test.each([second, `${second}/migration.sql`, `migrations/${second}/down.sql`, '20260102030406'])(
    'knows a migration as %s',
    async (name) => {
      await using project = await makeFolders({ [first]: 'select 1', [second]: 'select 2' })
      expect(findMigration(await readMigrations(project.folder), name).name).toBe(second)
    },
  )

  test('is refused beside the older one: Drizzle runs one of them alone', async () => {
    await using both = await makeFolder(two)
    await mkdir(join(both.folder, first))
    await writeFile(join(both.folder, first, 'migration.sql'), 'select 1')
    const refusal = await readMigrations(both.folder).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ reason: 'inconsistent' })
    expect(String(refusal)).toMatch(
      /both layouts of drizzle-kit.* meta\/_journal\.json is .*20260102030405_init\/migration\.sql that of .*Remove the one that was never/,
    )
  })

  test('leaves SQL files beside its folders alone, and names them', async () => {
    await using newer = await makeFolders({ [first]: 'select 1' })
    await writeFile(join(newer.folder, '0000_old.sql'), 'select 1')
    expect(await strayFiles(newer.folder)).toEqual(['0000_old.sql'])
  })
})

describe('findMigration', () => {
  test.each(['0001_more', '0001_more.sql', 'migrations/0001_more.sql', '0001', '1'])('finds %s', async (name) => {
    await using project = await makeFolder(two)
    expect(findMigration(await readMigrations(project.folder), name).name).toBe('0001_more')
  })

  test('names the last ones when there is none', async () => {
    await using project = await makeFolder(two)
    const migrations = await readMigrations(project.folder)
    expect(() => findMigration(migrations, '7')).toThrow(UsageError)
    expect(() => findMigration(migrations, 'more')).toThrow(/the last ones are 0000_init, 0001_more/)
  })
})

function journalText(folder: string, text: string): Promise<void> {
  return writeFile(join(folder, 'meta', '_journal.json'), text)
}

function entries(...tags: string[]): { tag: string; when: number }[] {
  return tags.map((tag, when) => ({ tag, when }))
}

async function replaceByFifo(path: string): Promise<void> {
  await rm(path)
  await promisify(execFile)('mkfifo', [path])
}

async function replaceByFolder(path: string): Promise<void> {
  await rm(path)
  await mkdir(path)
}
