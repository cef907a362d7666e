/** What a connection knows of its server once it is open, whatever server, database or role are set to. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { openConnection } from '../../src/pool/open-connection.ts'
import { type Bank, openBank } from '../support/bank.ts'

let bank: Bank
let role: string
beforeAll(async () => {
  bank = await openBank()
  role = `${bank.name}_set`
  await bank.admin.sql.unsafe(`create role ${role} login password 'set'`)
})
afterAll(async () => {
  await bank.admin.sql.unsafe(`drop role ${role}`)
  await bank[Symbol.asyncDispose]()
})

function open() {
  const url = bank.url.replace(/\/\/[^@/]*@/, `//${role}:set@`)
  return openConnection({ address: parseDatabaseUrl(url), connectTimeoutMs: 5000 })
}

test.each([
  ['0', 0],
  ['1ms', 1],
  ['1500', 1500],
  ['7s', 7000],
  ['90s', 90_000],
  ['2min', 120_000],
  ['3h', 10_800_000],
  ['2d', 172_800_000],
])('the statement_timeout %s of a role is known, and no hindrance', async (setting, timeoutMs) => {
  await bank.admin.sql.unsafe(`alter role ${role} set statement_timeout = '${setting}'`)
  // Opened several times: the first statement of a backend takes long, and a limit of a millisecond is often kept.
  for (let turn = 0; turn < 10; turn++) {
    const connection = await open()
    expect(connection.serverTimeoutMs).toBe(timeoutMs)
    expect(connection.transactionStatus).toBe('I')
    await connection.close()
  }
  await bank.admin.sql.unsafe(`alter role ${role} reset statement_timeout`)
})

test('a limit is in force again for what comes after', async () => {
  await bank.admin.sql.unsafe(`alter role ${role} set statement_timeout = '7s'`)
  const connection = await open()
  expect([...(await connection.query('show statement_timeout', []))]).toEqual([{ statement_timeout: '7s' }])
  await connection.close()
  await bank.admin.sql.unsafe(`alter role ${role} reset statement_timeout`)
})
