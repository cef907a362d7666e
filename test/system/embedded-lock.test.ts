/** The lock on a project's directory, by several processes: one at a time, and never stuck behind a dead one. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withProcessLock } from '../../src/embedded/process-lock.ts'
import { compiledProgram } from '../support/compiled-package.ts'
import { processIdentity, isAlive, ownIdentity } from '../../src/embedded/process-identity.ts'
import { EmbeddedServerFailed } from '../../src/errors.ts'

let directory = ''

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rivulet-lock-'))
  await mkdir(join(directory, 'locks'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

test('processes that want the lock at once have it one after the other', async () => {
  const file = join(directory, 'number')
  await writeFile(file, '0')
  const args = [compiledProgram('test/support/child-lock.ts'), directory, file, '15']
  await Promise.all([1, 2, 3, 4].map(() => promisify(execFile)(process.execPath, args)))
  expect(await readFile(file, 'utf8')).toBe('60')
  expect((await readdir(join(directory, 'locks'))).length).toBeLessThan(40)
})

test('callers in one process have it one after the other, in whatever order', async () => {
  let inside = 0
  let most = 0
  const visit = () =>
    withProcessLock(directory, async () => {
      inside += 1
      most = Math.max(most, inside)
      await new Promise((resolve) => setImmediate(resolve))
      inside -= 1
    })
  await Promise.all([visit(), visit(), visit(), visit()])
  expect(most).toBe(1)
})

test('a failure inside gives the lock back and is passed on', async () => {
  await expect(withProcessLock(directory, () => Promise.reject(new Error('inside')))).rejects.toThrow('inside')
  expect(await withProcessLock(directory, () => Promise.resolve('next'), { timeoutMs: 0 })).toBe('next')
})

test('the lock of a process that died is succeeded', async () => {
  // A number beyond every limit of the kernel.
  await writeFile(join(directory, 'locks', '7'), '999999999-1.abc')
  expect(await withProcessLock(directory, () => Promise.resolve('mine'), { timeoutMs: 0 })).toBe('mine')
})

test('the lock of a process whose number another one has now is succeeded', async () => {
  await writeFile(join(directory, 'locks', '7'), `${process.pid}-1.another`)
  expect(await withProcessLock(directory, () => Promise.resolve('mine'), { timeoutMs: 0 })).toBe('mine')
})

test('a lock that a living process keeps for too long is an error that names it', async () => {
  await writeFile(join(directory, 'locks', '1'), processIdentity(process.ppid))
  const failure = withProcessLock(directory, () => Promise.resolve(), { timeoutMs: 30 })
  await expect(failure).rejects.toBeInstanceOf(EmbeddedServerFailed)
  await expect(failure).rejects.toThrow(`Process ${process.ppid} `)
})

test('an identity is of one process: alive while it runs, not when its number or its start differs', () => {
  expect(isAlive(ownIdentity())).toBe(true)
  expect(isAlive(`${ownIdentity()}-0-1`)).toBe(true)
  expect(isAlive(`${process.pid}-1.another`)).toBe(false)
  expect(isAlive('999999999-1.abc')).toBe(false)
  expect(isAlive('nonsense')).toBe(false)
})
