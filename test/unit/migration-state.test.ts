import { describe, expect, test } from 'vitest'
import type { Migration } from '../../src/migrate/files/folder.ts'
import type { LedgerRow } from '../../src/migrate/ledger/ledger.ts'
import { compareWithLedger, contradiction } from '../../src/migrate/ledger/migration-state.ts'

const file = (name: string, when: number, hash = name): Migration => ({
  name,
  when,
  hash,
  sameHashes: [hash, `${hash} with other line ends`],
  file: `${name}.sql`,
  path: `${name}.sql`,
  text: '',
  downFile: `${name}.down.sql`,
  downPath: undefined,
})
const row = (hash: string, when: number | undefined, id = 1): LedgerRow => ({
  id,
  hash,
  when,
  name: undefined,
  appliedAt: undefined,
  durationMs: undefined,
})
const states = (files: Migration[], rows: LedgerRow[]) =>
  compareWithLedger(files, rows).migrations.map(({ state }) => state)

describe('compare', () => {
  const files = [file('a', 1), file('b', 2), file('c', 3)]

  test('files without rows are pending', () => {
    expect(states(files, [])).toEqual(['pending', 'pending', 'pending'])
  })

  test('a row with the file’s time and hash makes it applied, with other line ends too', () => {
    expect(states(files, [row('a', 1), row('b with other line ends', 2)])).toEqual(['applied', 'applied', 'pending'])
  })

  test('a row with the file’s hash alone makes it applied: the journal’s time was mended', () => {
    expect(states(files, [row('a', 7)])[0]).toBe('applied')
  })

  test('a row with the file’s time and another hash makes it changed', () => {
    expect(states(files, [row('old a', 1)])).toEqual(['changed', 'pending', 'pending'])
  })

  test('a file without a row before one that has it is out of order', () => {
    expect(states(files, [row('a', 1), row('c', 3)])).toEqual(['applied', 'out of order', 'applied'])
  })

  test('the order is the journal’s: an older file at its end, which Drizzle would skip, is pending', () => {
    expect(states([file('a', 1), file('c', 3), file('b', 2)], [row('a', 1), row('c', 3)])[2]).toBe('pending')
  })

  test('rows entered twice by racing migrators belong to one file', () => {
    const compared = compareWithLedger(files, [row('a', 1), row('a', 1, 2)])
    expect(compared.missing).toEqual([])
    expect(contradiction(compared)).toBeUndefined()
  })

  test('files of one text, or of one time, have a row each', () => {
    const twins = [file('a', 1, 'same'), file('b', 2, 'same')]
    const rows = [row('same', 1, 1), row('same', 2, 2)]
    expect(compareWithLedger(twins, rows).migrations.map(({ rows }) => rows.map(({ id }) => id))).toEqual([[1], [2]])
    expect(states(twins, [row('same', 7)])).toEqual(['applied', 'pending'])
    const together = [file('a', 1), file('b', 1)]
    expect(compareWithLedger(together, [row('b', 1, 1), row('old a', 1, 2)]).migrations).toMatchObject([
      { state: 'changed', rows: [{ id: 2 }] },
      { state: 'applied', rows: [{ id: 1 }] },
    ])
  })

  test('a row without a file is missing, and newer when it is newer than every file', () => {
    expect(compareWithLedger(files, [row('x', 2.5)])).toMatchObject({
      missing: [{ hash: 'x' }],
      databaseIsNewer: false,
    })
    expect(compareWithLedger(files, [row('x', 9)])).toMatchObject({ missing: [{ hash: 'x' }], databaseIsNewer: true })
  })
})

describe('contradiction', () => {
  const files = [file('a', 1), file('b', 2)]

  test('names changed, missing and late files, and what to do', () => {
    expect(contradiction(compareWithLedger(files, [row('old', 1)]))?.message).toMatch(
      /^changed after it was applied: a\. Restore it/,
    )
    expect(contradiction(compareWithLedger(files, [row('x', 9)]))?.message).toMatch(/newer than this code/)
    expect(contradiction(compareWithLedger(files, [row('x', 1.5)]))?.message).toMatch(/Restore it from version control/)
    expect(contradiction(compareWithLedger(files, [row('b', 2)]))?.message).toMatch(
      /never applied, although later migrations are: a .*--out-of-order/,
    )
  })

  test('late files may be allowed', () => {
    expect(contradiction(compareWithLedger(files, [row('b', 2)]), { outOfOrder: true })).toBeUndefined()
  })
})
