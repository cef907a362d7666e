/** What the `rivulet` command does when nobody can take its output, and what it says of files that nobody runs. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { compiledProgram } from '../support/compiled-package.ts'

const command = [compiledProgram('src/cli/main.ts')]

describe('the output of a command', { timeout: 60_000 }, () => {
  test.skipIf(!existsSync('/dev/full'))('that could not be written makes it fail, and says so', async () => {
    const full = await open('/dev/full', 'w')
    try {
      for (const args of [['--help'], ['lint', '--rules'], ['lint', '--rules', '--json'], ['nonsense', '--json']]) {
        const child = spawn(process.execPath, [...command, ...args], { stdio: ['ignore', full.fd, 'pipe'] })
        const [stderr, [exitCode]] = await Promise.all([text(child.stderr!), once(child, 'close')])
        expect([args, exitCode]).toEqual([args, args[0] === 'nonsense' ? 64 : 1])
        expect(stderr).toMatch(/the result could not be written: ENOSPC/)
      }
    } finally {
      await full.close()
    }
  })

  test('that its reader had enough of is no failure', async () => {
    const child = spawn(process.execPath, [...command, 'lint', '--rules', '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.destroy()
    const [stderr, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'close')])
    expect([exitCode, stderr]).toEqual([0, ''])
  })

  test.skipIf(!existsSync('/dev/full'))('stays whole when its messages cannot be written', async () => {
    const full = await open('/dev/full', 'w')
    try {
      const child = spawn(process.execPath, [...command, 'nonsense', '--json'], { stdio: ['ignore', 'pipe', full.fd] })
      const [stdout, [exitCode]] = await Promise.all([text(child.stdout!), once(child, 'close')])
      expect([exitCode, JSON.parse(stdout)]).toMatchObject([64, { error: { code: 'usage' } }])
    } finally {
      await full.close()
    }
  })
})

test('a command names the SQL files that are in no journal', { timeout: 60_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'rivulet-cli-'))
  try {
    await mkdir(join(directory, 'migrations', 'meta'), { recursive: true })
    await writeFile(join(directory, 'drizzle.config.json'), '{"dialect":"postgresql","out":"migrations"}')
    const entries = [{ tag: '0000_a', when: 1 }]
    await writeFile(join(directory, 'migrations', 'meta', '_journal.json'), JSON.stringify({ entries }))
    for (const name of ['0000_a.sql', '0001_stray.sql', 'seed.sql']) {
      await writeFile(join(directory, 'migrations', name), 'create table t (id int);')
    }
    const child = spawn(process.execPath, [...command, 'lint'], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] })
    const [stderr, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'close')])
    expect(exitCode).toBe(0)
    expect(stderr).toMatch(/^0001_stray\.sql is ignored: .*`rivulet generate --custom`, or move the file elsewhere\n$/)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
