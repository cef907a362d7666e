import postgres from 'postgres'
import { expect, test } from 'vitest'
import { dispatchOf, DriverStatement } from '../../src/pool/driver-statement.ts'

const client = postgres({ host: '127.0.0.1', port: 1, max: 1 }) as postgres.Sql<Record<string, never>>

test('a client hands out the way of its statements', () => {
  expect(dispatchOf(client)).toBeTypeOf('function')
})

test("a statement has every field that a connection reads off the driver's own query", () => {
  const own = Object.keys(client.unsafe('select $1', ['1']).values())
  const ofItsPromise = new Set(['handler', 'canceller', 'executed', 'resolve', 'reject'])
  const ignore = () => undefined
  const statement = new DriverStatement(
    {
      text: 'select $1',
      parameters: ['1'],
      driverOptions: { simple: false, prepare: true },
      options: { arrays: true },
    },
    ignore,
    ignore,
  )
  expect(Object.keys(statement)).toEqual(expect.arrayContaining(own.filter((field) => !ofItsPromise.has(field))))
})
