/**
 * One meaning a word: a search of `src/` for an exported name, or for a type, finds one declaration.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = new URL('../..', import.meta.url).pathname

test('no name is exported by two files', () => {
  const files = new Map<string, string[]>()
  for (const path of sourceFiles()) {
    for (const name of exportedNames(readFileSync(join(root, path), 'utf8'))) {
      files.set(name, [...(files.get(name) ?? []), path])
    }
  }
  const twice = [...files].filter(([, paths]) => paths.length > 1)
  expect(twice.map(([name, paths]) => `${name}: ${paths.join(', ')}`)).toEqual([])
})

/** Private to each file: the machine that it draws. */
const isPrivate = (name: string) => name === 'State'

test('a type has a name of its own, exported or not', () => {
  const declaration = /^(?:export )?(?:abstract )?(?:class|interface|type) +([\w$]+)/gm
  const files = new Map<string, string[]>()
  for (const path of sourceFiles()) {
    for (const [, name = ''] of readFileSync(join(root, path), 'utf8').matchAll(declaration)) {
      if (!isPrivate(name)) files.set(name, [...(files.get(name) ?? []), path])
    }
  }
  expect(files.get('Lease')).toEqual(['src/lease/lease.ts'])
  expect([...files].filter(([, paths]) => paths.length > 1)).toEqual([])
})

test('exported names are found', () => {
  const text = [
    'export interface Place {}',
    'export type Order<T> = T',
    'export async function* rows() {}',
    'export abstract class Pool {}',
    'export const limit = 1',
    'const own = 1',
    "export { other } from './other.ts'",
  ]
  expect([...exportedNames(text.join('\n'))]).toEqual(['Place', 'Order', 'rows', 'Pool', 'limit'])
})

function sourceFiles(): string[] {
  return readdirSync(join(root, 'src'), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
}

/** The names that a file declares and exports; a package entry, which gathers the exports of others, declares none. */
function exportedNames(text: string): ReadonlySet<string> {
  const declaration =
    /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|class|interface|type|const|let|enum) +([\p{ID_Start}$_][\p{ID_Continue}$]*)/gmu
  return new Set(Array.from(text.matchAll(declaration), ([, name = '']) => name))
}
