/**
 * An embedded server lives as long as any of its owners and no longer, whatever they die of and whenever: processes that
 * are killed with SIGKILL can do nothing about it themselves. The data of what they committed stays.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { openEmbeddedServer } from '../../src/embedded/server.ts'
import {
  cleanUp,
  forgetTemplate,
  isRunning,
  makeDirectory,
  makeProject,
  parentOf,
  processesIn,
  query,
  runningPid,
  serverPid,
  startChild,
  until,
} from '../support/embedded-projects.ts'

afterEach(cleanUp)
afterAll(forgetTemplate)

const quick = { settings: { fsync: 'off' } }

/** Whether the server of a directory accepts a connection. */
async function works(url: string): Promise<boolean> {
  return (await query(url, 'select 1 as one'))[0]?.one === 1
}

describe('a killed owner', () => {
  test('takes its server along, was it alone; what it committed is there at the next start', async () => {
    const directory = await makeProject()
    const owner = startChild({ directory, ...quick })
    await query((await owner.opened).url, 'create table kept as select 42 as n')
    const pid = await runningPid(directory)
    await owner.kill()
    await until(() => !isRunning(pid))
    await using next = await openEmbeddedServer({ directory, ...quick })
    expect(next.owned).toBe(true)
    expect(await query(next.url, 'select n from kept')).toEqual([{ n: 42 }])
  })

  test.each(['started', 'adopted'])(
    'that %s the server leaves it to the others, and the last takes it along',
    async (which) => {
      const directory = await makeProject()
      const starter = startChild({ directory, ...quick })
      const { url } = await starter.opened
      const adopter = startChild({ directory, ...quick })
      expect((await adopter.opened).owned).toBe(false)
      const pid = await runningPid(directory)
      const [first, second] = which === 'started' ? [starter, adopter] : [adopter, starter]
      // Its output ends with it: nobody else has inherited that.
      await first.kill()
      await using third = await openEmbeddedServer({ directory, ...quick })
      expect(third.owned).toBe(false)
      await third.stop()
      expect(await works(url)).toBe(true)
      await second.kill()
      await until(() => !isRunning(pid))
    },
  )

  test('that another process is following is followed: by the same server, or by the next', async () => {
    const directory = await makeProject()
    for (let round = 0; round < 5; round += 1) {
      const owner = startChild({ directory, ...quick })
      await owner.opened
      const [follower] = await Promise.all([openEmbeddedServer({ directory, ...quick }), owner.kill()])
      expect(await works(follower.url)).toBe(true)
      await follower.stop()
      expect(processesIn(directory)).toEqual([])
    }
  })

  test('that was stopping the server has it stopped', async () => {
    const directory = await makeProject()
    const owner = startChild({ directory, ...quick })
    await owner.opened
    const pid = await runningPid(directory)
    // A stopped server does not end: the owner is killed while it waits.
    process.kill(pid, 'SIGSTOP')
    void owner.stop()
    await new Promise((resolve) => owner.process.stdin?.end(resolve))
    await owner.kill()
    await until(() => !isRunning(pid))
  })

  test('has a server that reacts to nothing killed, and its data stays whole', async () => {
    const directory = await makeProject()
    const owner = startChild({ directory, ...quick })
    await query((await owner.opened).url, 'create table kept as select 42 as n')
    const pid = await runningPid(directory)
    process.kill(pid, 'SIGSTOP')
    await owner.kill()
    await until(() => !isRunning(pid))
    await using next = await openEmbeddedServer({ directory, ...quick })
    expect(await query(next.url, 'select n from kept')).toEqual([{ n: 42 }])
  })

  test('whose server is slow to end does not detain the next one that gives up', { timeout: 90_000 }, async () => {
    // The next one may come when the server has ended already, or before its keeper has noticed that the owner has gone, and
    // then shares a server that does not answer: then once more.
    const tooSoonOrLate = /^opened$|does not respond/
    for (let outcome = 'opened'; tooSoonOrLate.test(outcome);) {
      const directory = await makeProject()
      const owner = startChild({ directory, ...quick })
      await owner.opened
      process.kill(await runningPid(directory), 'SIGSTOP')
      await owner.kill()
      const locks = () => readdir(join(directory, 'locks'))
      const before = (await locks()).length
      const giving = new AbortController()
      const next = openEmbeddedServer({ directory, signal: giving.signal })
      let settled = false
      const end = next.then(
        async (server) => {
          settled = true
          await server.stop()
          return 'opened'
        },
        (error: unknown) => String(error),
      )
      await until(async () => settled || (await locks()).length > before)
      giving.abort(new Error('given up'))
      outcome = await end
      if (!tooSoonOrLate.test(outcome)) expect(outcome).toContain('given up')
      await until(() => processesIn(directory).length === 0)
    }
  })

  test('takes its throw-away server and the directory of it along', async () => {
    const owner = startChild({ ephemeral: true })
    const directory = join((await owner.opened).socketDirectory, '..')
    const pid = await runningPid(directory)
    await owner.kill()
    await until(() => !isRunning(pid))
    await until(() =>
      stat(directory).then(
        () => false,
        () => true,
      ),
    )
  })
})

describe('an owner killed while it starts the server', () => {
  const makeNew = async () => join(await makeDirectory(), '.rivulet')
  /** What appears in the course of a start, in a project that is new or not. */
  const moments: readonly [string, () => Promise<string>, (names: readonly string[]) => boolean][] = [
    ['its log is opened', makeProject, (names) => names.includes('server.log')],
    ['its socket has a directory', makeProject, (names) => names.includes('socket')],
    ['its keeper is known', makeProject, (names) => names.includes('keeper')],
    ['its data is being made', makeNew, (names) => names.some((name) => name.startsWith('draft-'))],
    ['its process begins', makeProject, (names) => names.includes('data/postmaster.pid')],
  ]

  async function namesIn(directory: string): Promise<string[]> {
    const inside = await readdir(directory).catch(() => [])
    const data = await readdir(join(directory, 'data')).catch(() => [])
    return [...inside, ...data.map((name) => `data/${name}`)]
  }

  test.each(moments)('when %s leaves nothing running, and nothing in the way of the next', async (_, make, reached) => {
    const directory = await make()
    const owner = startChild({ directory, ...quick })
    while (!reached(await namesIn(directory))) await new Promise((resolve) => setImmediate(resolve))
    await owner.kill()
    await owner.opened.catch(() => {})
    await until(() => processesIn(directory).length === 0)
    await using next = await openEmbeddedServer({ directory, ...quick })
    expect(await works(next.url)).toBe(true)
    expect((await namesIn(directory)).filter((name) => name.startsWith('draft-'))).toEqual([])
  })

  test('is succeeded at once by one that waited', async () => {
    const directory = await makeNew()
    const owner = startChild({ directory, ...quick })
    await until(async () => (await namesIn(directory)).some((name) => name.startsWith('draft-')))
    const [next] = await Promise.all([openEmbeddedServer({ directory, ...quick }), owner.kill()])
    expect(next.owned).toBe(true)
    expect(await works(next.url)).toBe(true)
    await next.stop()
    expect(processesIn(directory)).toEqual([])
  })
})

describe('the keeper', () => {
  test('is in a process group of its own and takes no signal for itself that is meant for the owners', async () => {
    const directory = await makeProject()
    await using server = await openEmbeddedServer({ directory, ...quick })
    const keeper = parentOf(await runningPid(directory))
    expect(keeper).not.toBe(process.pid)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(-keeper, signal)
    expect(await works(server.url)).toBe(true)
    await server.stop()
    await until(() => !isRunning(keeper))
  })

  test('that is killed takes nothing along: the owner stops the server, and a new one begins with the data', async () => {
    const directory = await makeProject()
    const server = await openEmbeddedServer({ directory, ...quick })
    await query(server.url, 'create table kept as select 42 as n')
    const pid = await runningPid(directory)
    process.kill(parentOf(pid), 'SIGKILL')
    expect(await works(server.url)).toBe(true)
    await server.stop()
    expect(isRunning(pid)).toBe(false)

    const owner = startChild({ directory, ...quick })
    await owner.opened
    const orphan = await runningPid(directory)
    process.kill(parentOf(orphan), 'SIGKILL')
    await owner.kill()
    await using next = await openEmbeddedServer({ directory, ...quick })
    expect(isRunning(orphan)).toBe(false)
    expect(await query(next.url, 'select n from kept')).toEqual([{ n: 42 }])
  })

  test('of a throw-away server that is killed leaves it to the next throw-away server', async () => {
    // Of its own: whoever opens a throw-away server beside this test would take it on.
    const env = { TMPDIR: await makeDirectory() }
    const owner = startChild({ ephemeral: true }, { env })
    const directory = join((await owner.opened).socketDirectory, '..')
    const pid = await runningPid(directory)
    process.kill(parentOf(pid), 'SIGKILL')
    await owner.kill()
    const next = startChild({ ephemeral: true }, { env })
    await next.opened
    await next.stop()
    expect(isRunning(pid)).toBe(false)
    await expect(stat(directory)).rejects.toThrow('ENOENT')
  })
})

test('a test run that is killed takes its server and the directory of it along', async () => {
  const temporary = await makeDirectory()
  const root = new URL('../..', import.meta.url).pathname
  const args = ['--watch', '--project', 'integration', 'test/integration/pooler.test.ts']
  const { TEST_DATABASE_URL: _, ...env } = process.env
  const run = spawn(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...args], {
    cwd: root,
    env: { ...env, TMPDIR: temporary },
    stdio: 'ignore',
  })
  const exited = once(run, 'exit')
  const servers = async () => (await readdir(temporary)).filter((name) => name.startsWith('rivulet-ephemeral-'))
  try {
    await expect
      .poll(async () => serverPid(join(temporary, (await servers())[0] ?? '')), { timeout: 20_000 })
      .toBeDefined()
  } finally {
    run.kill('SIGKILL')
  }
  await exited
  await until(() => processesIn(temporary).length === 0)
  await until(async () => (await servers()).length === 0)
})
