/** The walk over the server's messages: the same whatever pieces they come in. */
import { array, assert, nat, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type MessageListener, ServerMessages } from '../../src/pool/server-messages.ts'

const message = (type: string, body: Buffer | string = '') => {
  const bytes = Buffer.from(body as string, 'latin1')
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}
const ready = (status: string) => message('Z', status)
const step = [message('1'), message('2'), message('D', 'a row'), message('C', 'SELECT 1\0')]
const refusal = message('E', 'SERROR\0C57014\0\0')
const answer = [
  message('1'),
  message('t'),
  message('T'),
  message('2'),
  message('D', 'Z'.repeat(300)),
  message('C', 'x'),
]

/** What is told, and what the driver gets, when `bytes` come cut at `cuts`. */
function read(bytes: Buffer, cuts: readonly number[], steps = 0) {
  const told: string[] = []
  const messages = new ServerMessages()
  messages.listener = {
    ready: (neverRan) => void told.push(neverRan ? 'never ran' : 'ready'),
    setting: (name, value) => void told.push(`${name}=${value}`),
  } satisfies MessageListener
  if (steps > 0) messages.expectSteps(steps)
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  let start = 0
  const passed: Buffer[] = []
  for (const end of ends) {
    // A fresh copy each, as a socket's chunks are not kept.
    passed.push(Buffer.from(messages.read(Buffer.from(bytes.subarray(start, end)))))
    start = end
  }
  const { status, refusedStep } = messages
  return { told, status, refusedStep, passed: Buffer.concat(passed).toString('latin1') }
}

const anyCuts = array(nat({ max: 2000 }), { maxLength: 12 })
const whole = (bytes: Buffer, steps = 0) => read(bytes, [], steps)

describe('the messages of the server', () => {
  const bytes = Buffer.concat([
    ...answer,
    ready('T'),
    message('S', 'TimeZone\0UTC\0'),
    ...answer.slice(0, 4),
    refusal,
    ready('E'),
    refusal,
    ready('E'),
    message('N', 'notice'),
  ])

  test('tell status, settings, and whether what failed had been bound', () => {
    const { told, status } = whole(bytes)
    expect(told).toEqual(['ready', 'TimeZone=UTC', 'ready', 'never ran'])
    expect(status).toBe('E')
  })

  test('tell the same in any pieces, and go to the driver unchanged', () => {
    assert(
      property(anyCuts, (cuts) => {
        expect(read(bytes, cuts)).toEqual(whole(bytes))
        expect(read(bytes, cuts).passed).toBe(bytes.toString('latin1'))
      }),
    )
  })

  test('an error without ReadyForQuery behind it leaves no status', () => {
    expect(whole(Buffer.concat([ready('I'), refusal])).status).toBeUndefined()
  })
})

describe('the answers to steps', () => {
  const rest = Buffer.concat([...answer, ready('T')])
  const notice = message('N', 'notice')
  const setting = message('S', 'role\0x\0')

  test('are taken out, in any pieces; notices and settings among them are not', () => {
    const bytes = Buffer.concat([...step, notice, setting, ...step, rest])
    assert(
      property(anyCuts, (cuts) => {
        const { told, passed, status, refusedStep } = read(bytes, cuts, 2)
        expect(passed).toBe(Buffer.concat([notice, setting, rest]).toString('latin1'))
        expect({ told, status, refusedStep }).toEqual({
          told: ['role=x', 'ready'],
          status: 'T',
          refusedStep: undefined,
        })
      }),
    )
  })

  test.each([0, 1, 2])('when step %i is refused, its error is the answer, in any pieces', (refused) => {
    const done = Array.from({ length: refused }, () => step).flat()
    const status = refused === 0 ? 'I' : 'E'
    const bytes = Buffer.concat([...done, message('1'), refusal, ready(status)])
    assert(
      property(anyCuts, (cuts) => {
        expect(read(bytes, cuts, 3)).toEqual({
          told: ['never ran'],
          status,
          refusedStep: refused,
          passed: Buffer.concat([refusal, ready(status)]).toString('latin1'),
        })
      }),
    )
  })
})

describe('the rows of a statement that takes them itself', () => {
  const row = (length: number) => message('D', `${'Z'.repeat(length)}|`)
  const bytes = Buffer.concat([
    message('2'),
    row(3),
    ready('T'),
    message('2'),
    row(10),
    message('N', 'notice'),
    row(900),
    row(0),
    message('C', 'x'),
    ready('T'),
    row(20),
    ready('I'),
  ])
  const rest = Buffer.concat([message('2'), message('N', 'notice'), message('C', 'x')])
  const passed = Buffer.concat([message('2'), row(3), ready('T'), rest, ready('T'), row(20), ready('I')])

  /** The second of three statements takes its rows. */
  const taken = (cuts: readonly number[]) => {
    const messages = new ServerMessages()
    const rows: string[] = []
    let answered = 0
    const take = (data: Buffer, start: number) => {
      rows.push(data.toString('latin1', start, data.indexOf('|', start)))
    }
    messages.listener = {
      ready: () => {
        answered += 1
        messages.rows = answered === 1 ? take : undefined
      },
      setting: () => undefined,
    } satisfies MessageListener
    const ends = [...new Set([...cuts.map((cut) => cut % bytes.length), bytes.length])].sort((a, b) => a - b)
    const kept = ends.map((end, index) =>
      Buffer.from(messages.read(Buffer.from(bytes.subarray(ends[index - 1] ?? 0, end)))),
    )
    return { lengths: rows.map(({ length }) => length), passed: Buffer.concat(kept), answered }
  }

  test('are given to it, and all else to the driver, whatever pieces they come in', () => {
    const expected = { lengths: [10, 900, 0], passed, answered: 3 }
    expect(taken([])).toEqual(expected)
    assert(property(anyCuts, (cuts) => void expect(taken(cuts)).toEqual(expected)))
    assert(
      property(array(nat({ max: 2000 }), { minLength: 300, maxLength: 300 }), (cuts) => {
        expect(taken(cuts)).toEqual(expected)
      }),
    )
  })
})
