/** The code map (`src/README.md`) held against the tree: its folders, the files it names, the states it draws. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = new URL('../../src/', import.meta.url).pathname
const map = readFileSync(join(root, 'README.md'), 'utf8')
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })

describe('the code map', () => {
  test('has a line for every folder and every file of src/', () => {
    const listed = Array.from(map.matchAll(/^\| `([\w./-]+)`/gm), ([, name = '']) => name)
    const there = readdirSync(root, { withFileTypes: true })
      .filter(({ name }) => name !== 'README.md')
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    expect(listed.toSorted()).toEqual(there.toSorted())
  })

  test('names no file that is not there', () => {
    const named = Array.from(map.matchAll(/[\w/-]+\.[jt]s\b/g), ([name]) => name).filter(
      (name) => name !== 'postgres.js',
    )
    const missing = named.filter((name) => !files.some((file) => file === name || basename(file) === name))
    expect(missing).toEqual([])
  })

  test.each([
    // Those that count against `max`.
    ['pool/pool.ts', /#size\(\): number \{\n([^\n]*)/, /#(\w+)/g, ['gone']],
    ['lease/lease.ts', /type State =([^]*?)\n\n/, /kind: '(\w+)'/g, []],
    ['session/session.ts', /interface OpenWork<([^]*?)\nconst open/, /kind: '(\w+)'/g, []],
    ['lease/open-transaction.ts', /  state: ([^=]*) =/, /'(\w+)'/g, ['dropped, never sent']],
  ])('draws the states of %s as the code has them', (file, union, state, ends) => {
    const code = union.exec(readFileSync(join(root, file), 'utf8'))?.[1] ?? ''
    const declared = Array.from(code.matchAll(state), ([, name = '']) => name)
    expect(declared.length).toBeGreaterThan(1)
    const [, drawing = ''] = new RegExp(`\`${file}\`[^]*?\`\`\`\n([^]*?)\`\`\``).exec(map) ?? []
    const drawn = drawing.split(/[└◀]?─+(?:[^─▶\n]*─+)?[▶▲┘]?|\n/).map((word) => word.trim())
    expect(new Set(drawn.filter(Boolean))).toEqual(new Set([...declared, ...ends]))
  })
})
