/** The bytes of steps, taken apart again by the protocol's rules. */
import { expect, test } from 'vitest'
import { encodeSteps, type Step } from '../../src/pool/batch.ts'

/** Reads Parse, Bind, Execute back; throws on a byte too many or too few. */
function decode(buffer: Buffer): Step[] {
  const steps: Step[] = []
  for (let at = 0; at < buffer.length;) {
    const bodies = ['P', 'B', 'E'].map((type) => {
      expect(String.fromCharCode(buffer[at] ?? 0)).toBe(type)
      const end = at + 1 + buffer.readInt32BE(at + 1)
      const body = buffer.subarray(at + 5, end)
      expect(body.length).toBe(end - at - 5)
      at = end
      return body
    })
    const [parse = Buffer.of(), bind = Buffer.of(), execute = Buffer.of()] = bodies
    expect(execute.toString('hex')).toBe('0000000000')
    expect(parse[0]).toBe(0)
    const text = parse.subarray(1, parse.indexOf(0, 1)).toString()
    expect(parse.length).toBe(Buffer.byteLength(text) + 4)
    const parameters: string[] = []
    let from = 6
    for (let left = bind.readInt16BE(4); left > 0; left--) {
      const length = bind.readInt32BE(from)
      parameters.push(bind.subarray(from + 4, from + 4 + length).toString())
      from += 4 + length
    }
    expect(bind.length).toBe(from + 2)
    steps.push(parameters.length > 0 ? { text, parameters } : { text })
  }
  return steps
}

test('steps are Parse, Bind and Execute each, with texts and values of any length', () => {
  const steps = [
    { text: 'begin isolation level serializable' },
    { text: 'select set_config($1, $2, true)', parameters: ['request.user', 'Zoë 🎈'] },
    { text: 'select $1', parameters: ['', 'x'.repeat(70_000)] },
  ]
  expect(decode(encodeSteps(steps))).toEqual(steps)
  expect(encodeSteps([])).toEqual(Buffer.alloc(0))
})
