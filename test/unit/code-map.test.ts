/** The code map (`src/README.md`) held against the tree: its folders, the files it names, the states it draws. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
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

  test('names each file so that it can be no other', () => {
    const named = Array.from(map.matchAll(/[\w./-]+\.[jt]s\b/g), ([name]) => name).filter(
      (name) => name !== 'postgres.js' && !name.startsWith('../'),
    )
    const counted = named.map((name) => {
      const meant = files.filter((file) => file === name || (!files.includes(name) && file.endsWith(`/${name}`)))
      return `${name}: ${meant.length}`
    })
    expect(counted.filter((entry) => !entry.endsWith(': 1'))).toEqual([])
  })

  test('gives a word one line of the glossary', () => {
    const words = Array.from(section('Words').matchAll(/^\| ([^|]+?) +\|/gm), ([, word = '']) => word)
    const terms = words
      .filter((word) => word !== 'word' && !word.startsWith('-'))
      .flatMap((word) => word.split(/, | \/ /))
    expect(terms).toEqual(expect.arrayContaining(['resource', 'backend', 'problem', 'holder']))
    expect(terms.filter((term, index) => terms.indexOf(term) !== index)).toEqual([])
  })

  /** The machines that are drawn, by how the text above each begins. */
  const drawings = new Map(
    Array.from(
      section('State machines').matchAll(/^(\S[^\n]*(?:\n[^\n`][^\n]*)*)\n\n```\n([^]*?)```/gm),
      ([, text = '', drawing = '']) => [text.replace(/ \(`[^]*/, ''), { text, drawing }] as const,
    ),
  )

  const machines = [
    // Those that count against `max`.
    ['A connection', 'pool/pool.ts', /#size\(\): number \{\n([^\n]*)/, /#(\w+)/g, ['gone']],
    ['A lease', 'lease/lease.ts', /type State =([^]*?)\n\n/, /kind: '(\w+)'/g, []],
    // Where it stands among `#unanswered` says the rest.
    [
      'A statement on its connection',
      'pool/connection.ts',
      /interface Outcome<T> \{([^]*?)\n\}/,
      /readonly (\w+): /g,
      ['waiting', 'sent'],
    ],
    [
      'The transaction open on a lease',
      'lease/open-transaction.ts',
      /  state: ([^=]*) =/,
      /'(\w+)'/g,
      ['dropped, never sent'],
    ],
    ['A session', 'session/session.ts', /interface OpenWork<([^]*?)\nconst open/, /kind: '(\w+)'/g, []],
    ['A transaction as the task sees it', 'session/transaction.ts', /type State = ([^\n]*)/, /'(\w+)'/g, []],
  ] as const

  test('draws the machines that a test compares, and no other', () => {
    expect([...drawings.keys()]).toEqual(machines.map(([title]) => title))
  })

  test.each(machines)('draws the states as the code has them: %s', (title, file, union, state, ends) => {
    const source = readFileSync(join(root, file), 'utf8')
    const declared = Array.from(union.exec(source)?.[1]?.matchAll(state) ?? [], ([, name = '']) => name)
    expect(declared.length).toBeGreaterThan(1)
    const { text = '', drawing = '' } = drawings.get(title) ?? {}
    expect(text).toContain(`\`${file}\``)
    const drawn = drawing.split(/[└◀]?─+(?:[^─▶\n]*─+)?[▶▲┘]?|[|\n]/).map((word) => word.trim())
    expect(new Set(drawn.filter(Boolean))).toEqual(new Set([...declared, ...ends]))
  })

  test.each(machines)('has the only drawing of its machine: %s', (_, file) => {
    const [header = ''] = /^\/\*\*[^]*?\*\//.exec(readFileSync(join(root, file), 'utf8')) ?? []
    expect(header).toMatch(/drawn in\s+(?:\* )?`src\/README\.md`/)
    expect(header).not.toContain('──')
  })
})

/** The text of a section of the map. */
function section(title: string): string {
  return new RegExp(`^## ${title}\n([^]*?)(?=^## |(?![^]))`, 'm').exec(map)?.[1] ?? ''
}
