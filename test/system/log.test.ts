/** The log of a program on its standard error: on a terminal, for programs, and where nobody can or will read it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bank, openBank } from '../support/bank.ts'
import { compiledProgram } from '../support/compiled-package.ts'

const program = compiledProgram('test/support/child-logging.ts')

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

/** Without what Node itself looks at: a terminal under CI has no colours to it. */
const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...inherited } = process.env

/** What begins each colour, as one that can be seen. */
const visible = (output: string) => output.replaceAll('\u001B[', '~')

/** Starts the program with its standard error on `stderr`; `run` has it run statements and resolves when they are done. */
function start(stderr: 'pipe' | number, env: Readonly<Record<string, string>> = {}) {
  const child: ChildProcess = spawn(process.execPath, [program, bank.url], {
    stdio: ['pipe', 'pipe', stderr],
    env: { ...inherited, RIVULET_LOG: 'statements', ...env },
  })
  const said = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const run = async (statements: number) => {
    child.stdin!.write(`${statements}\n`)
    expect((await said.next()).value).toBe('done')
  }
  const end = async () => {
    child.stdin!.end()
    return (await once(child, 'exit'))[0] as number
  }
  return { child, run, end }
}

test('a program that is read by another writes a line of JSON for each statement, without its values', async () => {
  const { child, run, end } = start('pipe')
  const written = text(child.stderr!)
  await run(2)
  expect(await end()).toBe(0)
  const lines = (await written).trimEnd().split('\n')
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject(
    [1, 2].map(() => ({
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      level: 'debug',
      message: 'statement',
      type: 'statement.finished',
      label: 'page',
      backendPid: expect.any(Number),
      ms: expect.any(Number),
      rows: 1,
      sql: expect.stringMatching(/^select \$1::text \/\* long .*\*\/$/),
    })),
  )
  expect(await written).not.toContain('a secret')
})

test.skipIf(process.platform !== 'linux').each([
  ['coloured', {}, /^~2m[\d:.]+~22m +~2m +\d+~22m +~32m +[\d.]+ ms~39m +1 row {3}~36mpage~39m {2}select \$1::text/],
  ['plain with NO_COLOR', { NO_COLOR: '1' }, /^[\d:.]+ +\d+ +[\d.]+ ms +1 row {3}page {2}select \$1::text/],
] as const)('on a terminal it has columns, %s, and long SQL loses its middle', async (_, env, wanted) => {
  // `script` gives its command a terminal for all three streams.
  const child = spawn('script', ['-qec', `echo 1 | '${process.execPath}' '${program}' '${bank.url}'`, '/dev/null'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...inherited, TERM: 'xterm-256color', RIVULET_LOG: 'statements', ...env },
  })
  const lines = visible(await text(child.stdout))
    .split('\r\n')
    .filter((line) => line.includes('select'))
  expect(lines).toEqual([expect.stringMatching(wanted)])
  expect(lines[0]).toMatch(/long long l.* … .*long \*\/$/)
  expect(lines[0]!.length).toBeLessThan(520)
})

test('FORCE_COLOR gives a person behind a pipe the same', async () => {
  const { child, run, end } = start('pipe', { FORCE_COLOR: '1' })
  const written = text(child.stderr!)
  await run(1)
  await end()
  expect(visible(await written)).toMatch(/~36mpage~39m {2}select/)
})

test('a reader that has gone harms no statement', async () => {
  const { child, run, end } = start('pipe')
  child.stderr!.destroy()
  await run(50)
  expect(await end()).toBe(0)
})

test.skipIf(!existsSync('/dev/full'))('a disk that is full harms no statement', async () => {
  const full = await open('/dev/full', 'w')
  try {
    const { run, end } = start(full.fd)
    await run(50)
    expect(await end()).toBe(0)
  } finally {
    await full.close()
  }
})

test('a reader that is too slow is not waited for, what it misses is counted, and little is kept for it', async () => {
  const { child, run, end } = start('pipe')
  // Nobody reads: five megabytes.
  const statements = 3000
  await run(statements)
  const written = text(child.stderr!)
  // Until it has taken what was kept for it, more is left out.
  let read = ''
  child.stderr!.on('data', (chunk: Buffer) => (read += chunk.toString()))
  let more = 0
  while (!read.includes('left out')) {
    await run(1)
    more += 1
  }
  expect(await end()).toBe(0)
  const entries = (await written)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { lines?: number; level: string })
  const counted = entries.flatMap(({ lines }) => lines ?? [])
  expect(entries.filter(({ lines }) => lines).every(({ level }) => level === 'warn')).toBe(true)
  expect(entries.length - counted.length + counted.reduce((sum, lines) => sum + lines, 0)).toBe(statements + more)
  // A megabyte of five was kept.
  expect(counted[0]).toBeGreaterThan(statements / 2)
})
