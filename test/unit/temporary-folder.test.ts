/** Files that are made aside are moved to their places all together, or none is. */
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { moveTogether, withTemporaryFolder } from '../../src/cli/temporary-folder.ts'

let parent: string
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'rivulet-moves-'))
  for (const folder of ['made', 'place', 'place/old']) await mkdir(join(parent, folder))
  for (const file of ['made/a', 'made/b', 'place/b', 'place/old/c']) await writeFile(join(parent, file), file)
})
afterEach(() => rm(parent, { recursive: true }))

const at = (path: string) => join(parent, path)
const move = (from: string, to: string) => ({ from: at(from), to: at(to) })

async function files(): Promise<readonly (readonly [string, string])[]> {
  const entries = await readdir(parent, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Promise.all(
    paths.sort().map(async (path) => [path.slice(parent.length + 1), await readFile(path, 'utf8')] as const),
  )
}

test('files take the places of others, and what is removed is gone', async () => {
  await withTemporaryFolder(parent, 'aside-', (aside) =>
    moveTogether([move('made/a', 'new/a'), move('made/b', 'place/b')], [at('place/old')], join(aside, 'replaced')),
  )
  expect(await files()).toEqual([
    ['new/a', 'made/a'],
    ['place/b', 'made/b'],
  ])
})

test('all is as it was when one of them cannot be moved', async () => {
  const before = await files()
  const moves = [move('made/a', 'place/a'), move('made/b', 'place/b'), move('made/missing', 'place/c')]
  const moving = withTemporaryFolder(parent, 'aside-', (aside) =>
    moveTogether(moves, [at('place/old')], join(aside, 'replaced')),
  )
  await expect(moving).rejects.toThrow(/ENOENT.*missing/)
  expect(await files()).toEqual(before)
})

test('the folder is gone after work that failed, and so is one that was left behind long ago', async () => {
  await mkdir(at('aside-old'))
  await utimes(at('aside-old'), 0, 0)
  const failing = withTemporaryFolder(parent, 'aside-', async (aside) => {
    await writeFile(join(aside, 'x'), 'x')
    throw new Error('no more')
  })
  await expect(failing).rejects.toThrow('no more')
  expect((await readdir(parent)).sort()).toEqual(['made', 'place'])
})
