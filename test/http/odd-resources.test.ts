/** Resources over a schema that shares no table with the shop: every type of column, every kind of key, table and view. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Send, sender } from '../support/http-client.ts'
import { createToyApp, openToy, type Toy } from '../support/toy.ts'

let toy: Toy
let send: Send
const faults: unknown[] = []

beforeAll(async () => {
  toy = await openToy(3)
  send = sender(createToyApp(toy, { onFault: (error) => faults.push(error) }))
})
afterAll(() => toy[Symbol.asyncDispose]())

/** Sends one value of a column, and answers the row. */
async function stored(property: string, value: unknown): Promise<unknown> {
  const { status, json } = await send('POST', '/samples', { [property]: value })
  expect({ status, errors: json.errors }).toEqual({ status: 201, errors: undefined })
  const read = await send('GET', `/samples/${json.id}`)
  expect(read.json).toEqual(json)
  return json[property]
}

describe('a value comes back as it was sent', () => {
  test.each([
    ['aSmallint', -32_768],
    ['anInteger', 2_147_483_647],
    ['aBigint', '-9223372036854775808'],
    ['aSafeBigint', Number.MAX_SAFE_INTEGER],
    ['aNumeric', '123456789012345678901234567890.123456789'],
    ['aNumeric', 'NaN'],
    ['anAmount', '9999999999.99'],
    ['aNumericNumber', 0.1],
    ['aNumericBigint', '123456789012345678901234567890'],
    ['aReal', 'Infinity'],
    ['aReal', 1.5],
    ['aDouble', 5e-324],
    ['aDouble', 'NaN'],
    ['aDouble', '-Infinity'],
    ['aBoolean', false],
    ['aText', 'ü 🙂 "\\ \n'],
    ['aVarchar', '🙂🙂🙂🙂🙂'],
    ['aUuid', '00000000-0000-0000-0000-000000000001'],
    ['aMood', 'happy'],
    ['aSize', 'l'],
    ['aTimestamp', '2026-01-01T10:00:00.123456'],
    ['aTimestampText', '2026-01-01T10:00:00.000'],
    ['anInstant', '2026-01-01T10:00:00.123456Z'],
    ['anInstantText', '2026-01-01T10:00:00.000001Z'],
    ['anInstant', 'infinity'],
    ['aDate', '2026-02-28'],
    ['aDateText', '0001-01-01'],
    ['aTime', '23:59:59.999999'],
    ['anInterval', '1 day 02:03:04'],
    ['aJson', { a: [1, 'x', null] }],
    ['aJsonb', 'text'],
    ['aJsonb', { __proto__x: 1, '': 0.1 }],
    ['aBytea', 'AAEC/w=='],
    ['anInet', '10.0.0.1'],
    ['aCidr', '10.0.0.0/8'],
    ['aMacaddr', '08:00:2b:01:02:03'],
    ['aPoint', [1, -2.5]],
    ['aRange', '[1,5)'],
    ['aMoney', '-12.34'],
    ['aDocument', { x: 1 }],
    ['integers', [1, null]],
    ['bigints', ['9007199254740993']],
    ['texts', ['a,b', '"', '', null, 'NULL']],
    [
      'matrix',
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ['moods', ['sad', 'ok']],
    ['instants', ['2026-01-01T10:00:00.123456Z', null]],
    ['documents', [{ a: 1 }, [2]]],
    ['booleans', [true, null, false]],
    ['integers', []],
    ['aText', null],
  ])('%s %j', async (property, value) => {
    expect(await stored(property, value)).toEqual(value)
  })

  test('100,000 elements', async () => {
    const integers = Array.from({ length: 100_000 }, (_, index) => index)
    expect(await stored('integers', integers)).toEqual(integers)
  })

  test('in the form its type has', async () => {
    expect(await stored('anInstant', '2026-01-01T10:00:00.5+02:00')).toBe('2026-01-01T08:00:00.500Z')
    expect(await stored('aBigint', 42)).toBe('42')
    expect(await stored('anAmount', 1.5)).toBe('1.50')
    expect(await stored('aJsonb', JSON.parse('{"__proto__":1}'))).toEqual(JSON.parse('{"__proto__":1}'))
  })
})

describe('a value that its column cannot hold is a 422', () => {
  test.each([
    ['aSmallint', [32_768, -32_769, 1.5, '1', true, [], {}]],
    ['anInteger', [2 ** 31, -(2 ** 31) - 1, '5', 1e300]],
    ['aBigint', ['9223372036854775808', '1.5', '', ' 1', '0x10', 1.5, 2 ** 53, true]],
    ['aSafeBigint', [2 ** 53, '1']],
    ['aNumeric', ['x', '1,5', '', '1e6000000', true]],
    ['anAmount', ['1.005', '10000000000', 'Infinity']],
    ['aNumericNumber', ['1', 'Infinity']],
    ['aReal', [1e39, 16_777_217, 1e-50, 'nan', '1']],
    ['aDouble', ['1', null, true].slice(0, 1)],
    ['aBoolean', ['true', 0, 1, 'yes']],
    ['aText', ['a\0b', '\ud800', 5, {}, []]],
    ['aVarchar', ['abcdef']],
    ['aUuid', ['x', '00000000000000000000000000000001']],
    ['aMood', ['Happy', '', 0]],
    ['aTimestamp', ['2026-01-01T10:00:00Z', '2026-02-30T00:00:00', 'now', 'tomorrow', 0]],
    [
      'anInstant',
      [
        '2026-01-01T10:00:00',
        '2026-01-01',
        '2026-02-29T00:00:00Z',
        '2026-01-01T24:00:00Z',
        '2026-01-01T10:00:00.1234567Z',
        1_767_261_600,
      ],
    ],
    ['aDate', ['2026-02-30', '2026-1-1', '2026-01-01T00:00:00Z', 'today']],
    ['aTime', ['25:00', '10:00+02', 'now']],
    ['aZonedTime', ['10:00']],
    ['anInterval', ['x', 5]],
    ['aJsonb', ['a\0b', { 'a\0': 1 }, ['\udc00']]],
    ['aBytea', ['AAE', 'a-_b', '\\x00', 5]],
    ['anInet', ['10.0.0', '10.0.0.1/33', 'host']],
    ['aCidr', ['10.0.0.1/8']],
    ['aMacaddr', ['08:00:2b']],
    ['aPoint', [[1], [1, 2, 3], ['1', '2'], '(1,2)']],
    ['aRange', ['x', 5]],
    ['aMoney', ['1.005', 12.34]],
    ['integers', [[1.5], ['1'], 1, [[1]]]],
    ['matrix', [[[1], [1, 2]], [1], [[]]]],
    ['moods', [['Sad']]],
    ['instants', [['2026-01-01T10:00:00']]],
  ])('%s %j', async (property, values) => {
    for (const value of values) {
      const { status, json } = await send('POST', '/samples', { [property]: value })
      expect(`${JSON.stringify(value)}: ${status}`).toBe(`${JSON.stringify(value)}: 422`)
      expect(json.errors).toEqual([{ pointer: `#/${property}`, detail: expect.any(String) as string }])
    }
  })
})

describe('a value in a query', () => {
  test.each([
    ['anInstant', '2026-01-01T08:00:00.123456Z', '2026-01-01T10:00:00.123456%2B02:00'],
    ['aBigint', '9007199254740993', '9007199254740993'],
    ['aNumeric', '1.50', '1.5'],
    ['aDouble', 'NaN', 'NaN'],
    ['aBoolean', true, 'true'],
    ['aText', 'a&b=c"d', 'a%26b%3Dc%22d'],
    ['aBytea', 'AAEC', 'AAEC'],
    ['aJsonb', { a: 1 }, '%7B%22a%22:1%7D'],
    ['texts', ['a,b', 'c'], '"a,b",c'],
    ['matrix', [[7, 8]], '[[7,8]]'],
    ['aMoney', '77.70', '77.7'],
    ['aDate', '2026-03-01', '2026-03-01'],
  ])('finds the row whose %s is %j', async (property, value, query) => {
    const { json } = await send('POST', '/samples', { [property]: value, aSmallint: 99 })
    const found = await send('GET', `/samples?aSmallint=99&${property}=${query}&select=id`)
    expect(found.json.data).toContainEqual({ id: json.id })
    const other = await send('GET', `/samples?aSmallint=99&${property}[isNull]=true&limit=1000`)
    expect(other.json.data.map(({ id }: { id: number }) => id)).not.toContain(json.id)
  })

  test.each(['aJsonb=null', 'matrix[overlaps]=null', 'aPoint[eq]=null', 'or=(aJsonb=null)'])(
    'that is null in JSON, as in %s, is a 400: isNull asks for that',
    async (query) => {
      expect(await send('GET', `/samples?${query}`)).toMatchObject({ status: 400, json: { code: 'invalid_parameter' } })
    },
  )

  test('pages by what has microseconds, and by NaN', async () => {
    for (const micros of [1, 2, 3]) {
      await send('POST', '/samples', { aSmallint: 98, anInstant: `2026-01-01T00:00:00.00000${micros}Z`, aReal: 'NaN' })
    }
    for (const sort of ['anInstant', '-anInstant', 'aReal,-anInstant']) {
      const seen: string[] = []
      let after = ''
      for (let pages = 0; pages < 3; pages++) {
        const { json } = await send('GET', `/samples?aSmallint=98&sort=${sort}&limit=1${after}`)
        seen.push(json.data[0].anInstant)
        after = `&after=${json.next}`
      }
      expect(new Set(seen).size).toBe(3)
    }
  })
})

describe('a key', () => {
  test('of several parts has them between commas, and any text in them', async () => {
    const { headers, json } = await send('POST', '/odd-shelves', { room: 'a,b/c ü', position: 1 })
    expect(headers.get('location')).toBe('/odd-shelves/a%2Cb%2Fc%20%C3%BC,1')
    expect(json).toEqual({ room: 'a,b/c ü', position: 1, label: null, capacity: 10, area: 20 })
    expect((await send('GET', headers.get('location') ?? '')).json).toEqual(json)
    for (const path of [
      '/odd-shelves/a',
      '/odd-shelves/a,1,2',
      '/odd-shelves/a,x',
      '/odd-shelves/a,',
      '/odd-shelves/%ff,1',
    ]) {
      expect(await send('GET', path)).toMatchObject({ status: 400, json: { code: 'invalid_parameter' } })
    }
  })

  test('that the client gives is put, the first time with 201', async () => {
    const created = await send('PUT', '/odd-shelves/put,1', { label: 'x' })
    expect(created).toMatchObject({ status: 201, json: { room: 'put', position: 1, label: 'x', capacity: 10 } })
    expect(created.headers.get('location')).toBe('/odd-shelves/put,1')
    expect(await send('PUT', '/odd-shelves/put,1', { capacity: 3 })).toMatchObject({
      status: 200,
      json: { label: null, capacity: 3, area: 6 },
    })
    expect(await send('PUT', '/odd-shelves/put,1', {}, { 'if-none-match': '*' })).toMatchObject({ status: 412 })
    expect(await send('PUT', '/odd-shelves/put,2', {}, { 'if-match': '*' })).toMatchObject({ status: 412 })
    expect(await send('PUT', '/odd-shelves/put,3', {}, { 'if-none-match': '*' })).toMatchObject({ status: 201 })
    const attempts = [1, 2, 3, 4, 5].map((capacity) =>
      send('PUT', '/odd-shelves/put,4', { capacity }, { 'if-none-match': '*' }),
    )
    const answers = await Promise.all(attempts)
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 412, 412, 412, 412])
    const first = answers.find(({ status }) => status === 201)
    expect((await send('GET', '/odd-shelves/put,4')).json.capacity).toBe(first?.json.capacity)
    expect(await send('PUT', '/odd-shelves/put,3', { area: 1 })).toMatchObject({ status: 422 })
  })

  test('of any letters is put, and where it is is told in percent-encoding', async () => {
    const created = await send('PUT', '/words/%F0%9F%99%82', {})
    expect(created).toMatchObject({ status: 201, json: { word: '🙂' } })
    expect(created.headers.get('location')).toBe('/words/%F0%9F%99%82')
  })

  test('with line breaks in it makes no header of its own', async () => {
    const { status, json, headers } = await send('PUT', '/words/a%0d%0aset-cookie:%20b=c', {})
    expect([status, json.word]).toEqual([201, 'a\r\nset-cookie: b=c'])
    expect(headers.get('location')).toBe('/words/a%0d%0aset-cookie:%20b=c')
    expect(headers.get('set-cookie')).toBeNull()
    expect((await send('POST', '/words', { word: 'b\r\nx: y' })).headers.get('location')).toBe('/words/b%0D%0Ax%3A%20y')
  })

  test('of very many letters is in no header, which clients would not take', async () => {
    const word = 'ü'.repeat(1600)
    const added = await send('POST', '/words', { word })
    expect([added.status, added.headers.get('location')]).toEqual([201, null])
    const { headers, json } = await send('GET', `/words?sort=-word&limit=1&word[like]=${encodeURIComponent('ü%')}`)
    expect(json.data).toHaveLength(1)
    await send('POST', '/words', { word: `${word}a` })
    const page = await send('GET', `/words?sort=-word&limit=1&word[like]=${encodeURIComponent('ü%')}`)
    expect([page.json.next.length > 2000, page.headers.get('link')]).toEqual([true, null])
    expect(headers.get('link')).toBeNull()
  })

  test('of a bigint keeps its digits', async () => {
    const { json, headers } = await send('POST', '/exhibits', { title: 'T', weight: '200' })
    expect(BigInt(json.id)).toBeGreaterThanOrEqual(2n ** 53n)
    expect((await send('GET', headers.get('location') ?? '')).json).toEqual(json)
    expect((await send('GET', `/titles/${json.id}`)).json).toEqual({ id: json.id, title: 'T' })
  })

  test('is made by the program where the schema says so', async () => {
    const { json, headers } = await send('POST', '/notes', { slug: 'made' })
    expect(json).toMatchObject({ version: 1, removedAt: null, updatedAt: expect.stringMatching(/Z$/) as string })
    expect(headers.get('location')).toBe(`/notes/${json.id}`)
  })
})

test('what only the server knows to be wrong is a 422 as well, and what a trigger refuses', async () => {
  expect(await send('POST', '/samples', { aRange: '[5,1)' })).toMatchObject({
    status: 422,
    json: { code: 'invalid_input' },
  })
  expect(await send('GET', '/samples?aRange=[5,1)')).toMatchObject({ status: 400, json: { code: 'invalid_parameter' } })
  await toy.engine.session(({ db }) =>
    db.execute(`
    create function refuse() returns trigger language plpgsql as $$ begin
      if new.word = 'skip' then return null; end if;
      if new.word = 'raise' then raise exception 'no such words here'; end if;
      return new;
    end $$;
    create trigger refuse before insert on words for each row execute function refuse()`),
  )
  expect(await send('POST', '/words', { word: 'skip' })).toMatchObject({ status: 409, json: { code: 'skipped' } })
  expect(await send('POST', '/words', { word: 'raise' })).toMatchObject({
    status: 422,
    json: { code: 'refused', detail: 'no such words here' },
  })
  expect(await send('POST', '/words', { word: 'less', uses: -1 })).toMatchObject({
    status: 422,
    json: { code: 'check_violation' },
  })
})

test('a removed row is gone for clients where the table has soft delete', async () => {
  const { headers } = await send('POST', '/notes', { slug: 'gone' })
  const path = headers.get('location') ?? ''
  expect((await send('DELETE', path)).status).toBe(204)
  expect((await send('GET', path)).status).toBe(404)
  expect((await send('PATCH', path, { body: 'x' })).status).toBe(404)
  expect((await send('GET', '/notes?slug=gone')).json.data).toEqual([])
})

test('views, and tables without a key, are read only', async () => {
  await send('POST', '/exhibits', { title: 'heavy', weight: '150.5' })
  expect((await send('GET', '/heavy?doubled[gt]=300&doubled[lt]=302&title=heavy')).json.data).toMatchObject([
    { title: 'heavy', doubled: '301.0000000000' },
  ])
  expect(await send('GET', '/heavy?doubled=x')).toMatchObject({ status: 400 })
  for (const path of ['/heavy', '/titles', '/totals', '/lines']) {
    expect((await send('GET', path)).status).toBe(200)
    expect((await send('POST', path, {})).status).toBe(405)
  }
  expect((await send('DELETE', '/titles/1')).status).toBe(405)
  expect((await send('GET', '/lines/1')).status).toBe(404)
  expect(await send('GET', '/lines?after=x')).toMatchObject({ status: 400 })
})

test('a relation to one row is null where there is none, and may lead back', async () => {
  await send('PUT', '/odd-shelves/rel,1', {})
  const parent = await send('POST', '/exhibits', { title: 'parent', room: 'rel', position: 1 })
  await send('POST', '/exhibits', { title: 'part', parentId: parent.json.id })
  const { json } = await send(
    'GET',
    `/exhibits/${parent.json.id}?with=shelf,parent,parts(with:parent(select:title)),notes`,
  )
  expect(json).toMatchObject({
    shelf: { room: 'rel' },
    parent: null,
    parts: [{ parent: { title: 'parent' } }],
    notes: [],
  })
})

test('every answer is in the document, which names every property', async () => {
  const { json } = await send('GET', '/openapi.json')
  expect(Object.keys(json.paths)).toEqual(
    expect.arrayContaining(['/samples', '/samples/{key}', '/lines', '/titles/{key}']),
  )
  expect(json.paths['/lines/{key}']).toBeUndefined()
  expect(Object.keys(json.paths['/titles/{key}'])).toEqual(['parameters', 'get'])
  const sample = await send('POST', '/samples', {})
  expect(Object.keys(json.components.schemas.Samples.properties)).toEqual(Object.keys(sample.json))
})

test('no request of this file was a fault of the service', () => {
  expect(faults).toEqual([])
})
