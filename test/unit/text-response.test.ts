import { expect, test } from 'vitest'
import { TextResponse } from '../../src/answer/text-response.ts'

test('the Response of the adapter is found, and Node keeps its own', async () => {
  expect(TextResponse).not.toBe(Response)
  expect(new Response('x')).not.toBeInstanceOf(TextResponse)
  const response = new TextResponse('text', 201, { etag: '"a"' })
  expect(response).toBeInstanceOf(Response)
  expect([response.status, response.headers.get('etag'), await response.text()]).toEqual([201, '"a"', 'text'])
})
