/**
 * The life of an embedded server: started, adopted, stopped by whoever leaves last, and found again after every way to
 * die. Real binaries, real processes, temporary directories.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { stopProcess } from '../../src/embedded/postmaster.ts'
import { processIdentity } from '../../src/embedded/process-identity.ts'
import { openEmbeddedServer } from '../../src/embedded/server.ts'
import { EmbeddedServerFailed } from '../../src/errors.ts'
import {
  cleanUp,
  forgetTemplate,
  isRunning,
  makeDirectory,
  makeProject,
  processesIn,
  query,
  runningPid,
  serverPid,
  startChild,
  until,
} from '../support/embedded-projects.ts'

afterEach(cleanUp)
afterAll(forgetTemplate)

/** Everything but what makes it safe on disk: the tests kill processes, not machines. */
const quick = { settings: { fsync: 'off' } }

async function newProject(): Promise<string> {
  return join(await makeDirectory(), '.rivulet')
}

describe('start and stop', () => {
  test('a new project gets a server with its own database, and stop ends it', async () => {
    const directory = await newProject()
    const server = await openEmbeddedServer({ directory })
    expect(server.owned).toBe(true)
    expect(await query(server.url, 'select current_database() as database, current_user as name')).toEqual([
      { database: 'rivulet', name: 'rivulet' },
    ])
    const pid = await runningPid(directory)
    await server.stop()
    expect(isRunning(pid)).toBe(false)
    expect(processesIn(directory)).toEqual([])
  })

  test('the data is there at the next start', async () => {
    const directory = await makeProject()
    {
      await using server = await openEmbeddedServer({ directory, ...quick })
      await query(server.url, 'create table kept as select 42 as n')
    }
    await using again = await openEmbeddedServer({ directory, ...quick })
    expect(again.owned).toBe(true)
    expect(await query(again.url, 'select n from kept')).toEqual([{ n: 42 }])
  })

  test('stop may be called twice, and by two at once', async () => {
    const directory = await makeProject()
    const server = await openEmbeddedServer({ directory, ...quick })
    await Promise.all([server.stop(), server.stop()])
    await server.stop()
    expect(await serverPid(directory)).toBeUndefined()
  })

  test('settings reach the server, and an adopter gets the server as it is', async () => {
    const directory = await makeProject()
    await using server = await openEmbeddedServer({ directory, settings: { fsync: 'off', max_connections: '33' } })
    await using adopted = await openEmbeddedServer({ directory, settings: { max_connections: '44' } })
    expect(adopted.owned).toBe(false)
    expect(adopted.url).toBe(server.url)
    expect(await query(adopted.url, 'show max_connections')).toEqual([{ max_connections: '33' }])
  })

  test('an ephemeral server lives in a directory of its own and takes it along', async () => {
    const server = await openEmbeddedServer({ ephemeral: true })
    const directory = join(server.socketDirectory ?? '', '..')
    expect(await query(server.url, 'show fsync')).toEqual([{ fsync: 'off' }])
    await server.stop()
    await expect(stat(directory)).rejects.toThrow('ENOENT')
  })

  test('the server is in a process group of its own, out of reach of Ctrl-C', async () => {
    const directory = await makeProject()
    const server = await openEmbeddedServer({ directory, ...quick })
    const pid = await runningPid(directory)
    const group = execFileSync('ps', ['-o', 'pgid=', '-p', String(pid)], { encoding: 'utf8' })
    await server.stop()
    expect(Number(group)).toBe(pid)
  })

  test('a server that nobody stops does not keep its process alive, and ends with it', async () => {
    const directory = await makeProject()
    const child = startChild({ directory, ...quick }, { afterwards: 'leave' })
    expect((await child.opened).owned).toBe(true)
    expect(await child.exited).toBe(0)
    await until(() => processesIn(directory).length === 0)
  })
})

describe('several processes', () => {
  test('the second process adopts the server, and the last to leave stops it, whoever started it', async () => {
    const directory = await makeProject()
    const first = startChild({ directory, ...quick })
    expect((await first.opened).owned).toBe(true)
    const pid = await runningPid(directory)
    const second = startChild({ directory, ...quick })
    const { owned, url } = await second.opened
    expect(owned).toBe(false)
    expect(await first.stop()).toBe(0)
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await runningPid(directory)).toBe(pid)
    expect(await second.stop()).toBe(0)
    expect(isRunning(pid)).toBe(false)
  })

  test('processes that start at the same instant end up on one server, started by one of them', async () => {
    const directory = await newProject()
    const all = [1, 2, 3, 4].map(() => startChild({ directory, ...quick }))
    const opened = await Promise.all(all.map((child) => child.opened))
    expect(opened.map(({ owned }) => owned).filter(Boolean)).toHaveLength(1)
    expect(new Set(opened.map(({ url }) => url)).size).toBe(1)
    const pid = await runningPid(directory)
    await Promise.all(all.map((child) => child.stop()))
    expect(isRunning(pid)).toBe(false)
  })

  test('processes that come and go at once never lose the server they were given', async () => {
    const directory = await makeProject()
    const visit = async () => {
      for (let round = 0; round < 4; round += 1) {
        await using server = await openEmbeddedServer({ directory, ...quick })
        expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }])
      }
    }
    await Promise.all([visit(), visit(), visit()])
    expect(await serverPid(directory)).toBeUndefined()
  })
})

describe('after a crash', () => {
  test('a server that was killed is started again by the next to open, and stop does not hang', async () => {
    const directory = await makeProject()
    const server = await openEmbeddedServer({ directory, ...quick })
    await query(server.url, 'create table kept as select 42 as n')
    const pid = await runningPid(directory)
    process.kill(pid, 'SIGKILL')
    await until(() => !isRunning(pid))
    const again = await openEmbeddedServer({ directory, ...quick })
    expect(await runningPid(directory)).not.toBe(pid)
    expect(await query(again.url, 'select n from kept')).toEqual([{ n: 42 }])
    // The first handle held the server that is no more, and has nothing to say about its successor.
    await server.stop()
    expect(await query(again.url, 'select 1 as one')).toEqual([{ one: 1 }])
    await again.stop()
    expect(await serverPid(directory)).toBeUndefined()
  })

  test('stop returns at once when the server was killed', async () => {
    const directory = await makeProject()
    const server = await openEmbeddedServer({ directory, ...quick })
    process.kill(await runningPid(directory), 'SIGKILL')
    const before = performance.now()
    await server.stop()
    expect(performance.now() - before).toBeLessThan(5_000)
  })

  test('a server that ignores every gentler signal is killed', async () => {
    const directory = await makeProject()
    await using server = await openEmbeddedServer({ directory, ...quick })
    const pid = await runningPid(directory)
    process.kill(pid, 'SIGSTOP')
    await stopProcess(processIdentity(pid), [50, 50, 10_000])
    expect(isRunning(pid)).toBe(false)
    await server.stop()
  })

  test('the pid file of a crash does not matter when its number went to another process', async () => {
    const directory = await makeProject()
    const server = await openEmbeddedServer({ directory, ...quick })
    const record = await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8')
    await server.stop()
    await writeFile(join(directory, 'data', 'postmaster.pid'), record.replace(/^\d+/, String(process.pid)))
    await using again = await openEmbeddedServer({ directory, ...quick })
    expect(again.owned).toBe(true)
    expect(await query(again.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('stop ends the server even when its directory was removed meanwhile', async () => {
    const directory = await makeProject()
    const server = await openEmbeddedServer({ directory, ...quick })
    const pid = await runningPid(directory)
    await rm(directory, { recursive: true, force: true, maxRetries: 10 })
    await server.stop()
    expect(isRunning(pid)).toBe(false)
    await expect(stat(directory)).rejects.toThrow('ENOENT')
  })
})

describe('what cannot work says so', () => {
  test('a data directory of another major version is refused with what to do', async () => {
    const directory = await makeProject()
    await (await openEmbeddedServer({ directory, ...quick })).stop()
    await writeFile(join(directory, 'data', 'PG_VERSION'), '14\n')
    await expect(openEmbeddedServer({ directory })).rejects.toThrow(/was made by PostgreSQL 14, .* is 18\. .*dump it/)
    await expect(openEmbeddedServer({ directory })).rejects.toBeInstanceOf(EmbeddedServerFailed)
  })

  test('a directory that is no data directory is refused, not overwritten', async () => {
    const directory = await newProject()
    await mkdir(join(directory, 'data'), { recursive: true })
    await writeFile(join(directory, 'data', 'precious'), '')
    await expect(openEmbeddedServer({ directory })).rejects.toThrow('is not a complete data directory')
    expect(await readdir(join(directory, 'data'))).toEqual(['precious'])
  })

  test('a server that does not start is reported with the end of its log', async () => {
    const directory = await makeProject()
    await (await openEmbeddedServer({ directory, ...quick })).stop()
    await rm(join(directory, 'data', 'global', 'pg_control'))
    const failure = openEmbeddedServer({ directory })
    await expect(failure).rejects.toBeInstanceOf(EmbeddedServerFailed)
    await expect(failure).rejects.toThrow(/did not start .*\n.*could not find the database system/s)
  })

  test('a wrong setting is reported in the words of the server, and nothing is left behind', async () => {
    const directory = await makeProject()
    const failure = openEmbeddedServer({ directory, settings: { max_connections: 'many' } })
    await expect(failure).rejects.toThrow('invalid value for parameter "max_connections"')
    expect(processesIn(directory)).toEqual([])
    await using server = await openEmbeddedServer({ directory, ...quick })
    expect(server.owned).toBe(true)
  })
})
