import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApp } from '../../src/http/app.ts'
import { problemTypes } from '../../src/document/problem-types.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { resource } from '../../src/resource/resource.ts'
import { openToy, type Toy } from '../support/toy.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'
import * as toySchema from '../support/toy-schema.ts'

let shop: TestShop
let toy: Toy

beforeAll(async () => {
  ;[shop, toy] = await Promise.all([openTestShop(), openToy()])
})
afterAll(() => Promise.all([shop[Symbol.asyncDispose](), toy[Symbol.asyncDispose]()]))

const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'

describe('the pages', () => {
  test.each(['/', '/docs'])('%s works under its policy, which allows its own style and nothing else', async (path) => {
    const response = await shop.request(path, { headers: { accept: browser } })
    const text = await response.text()
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(Number(response.headers.get('content-length'))).toBe(Buffer.byteLength(text))
    const styles = Array.from(text.matchAll(/<style>([^]*?)<\/style>/g), ([, style = '']) => style)
    const digests = styles.map((style) => createHash('sha256').update(style).digest('base64'))
    expect(digests).toHaveLength(1)
    expect(response.headers.get('content-security-policy')).toBe(
      `default-src 'none'; style-src 'sha256-${digests[0]}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
    expect(text).not.toMatch(/<script|<img|<link|<iframe|\bstyle=|\bon\w+=|url\(|@import|https?:/)
    expect(text).toMatch(/^<!doctype html>\s*<html lang="en">/)
    expect(text).toContain('<meta name="viewport"')
  })

  test('links of the documentation lead to what is in it, and no two parts have one name', async () => {
    for (const app of [shop, createApp(toy.engine, { resources: [resource(toySchema.samples)] })]) {
      const text = await (await app.request('/docs')).text()
      const ids = Array.from(text.matchAll(/ id="([^"]*)"/g), ([, id]) => id)
      expect(new Set(ids).size).toBe(ids.length)
      const targets = Array.from(text.matchAll(/href="#([^"]*)"/g), ([, target]) => target)
      expect(targets.length).toBeGreaterThan(10)
      expect(targets.filter((target) => !ids.includes(target))).toEqual([])
    }
  })

  test('the documentation has every route of the document, and its parameters and properties', async () => {
    const document = (await (await shop.request('/openapi.json')).json()) as {
      paths: Record<string, Record<string, unknown>>
      components: { schemas: Record<string, { properties?: Record<string, unknown> }> }
    }
    const text = await (await shop.request('/docs')).text()
    for (const [path, item] of Object.entries(document.paths)) {
      for (const method of Object.keys(item).filter((name) => name !== 'parameters')) {
        expect(text).toContain(`${method.toUpperCase()}</code> <code>${path}</code>`)
      }
    }
    for (const [name, { properties = {} }] of Object.entries(document.components.schemas)) {
      expect(text).toContain(`id="schema-${name}"`)
      for (const property of Object.keys(properties)) expect(text).toContain(`<code>${property}</code>`)
    }
  })

  test("every type of problem has an anchor with its meaning, those of the application's own too", async () => {
    const text = await (await shop.request('/docs')).text()
    for (const code of [...Object.keys(problemTypes), 'insufficient_stock']) expect(text).toContain(`<dt id="${code}">`)
    expect(text).toContain('urn:problem-type:rivulet:')
    expect(text).toMatch(/id="version_conflict">[^]*?read it again/)
    expect(text).toMatch(/id="insufficient_stock">[^]*?<code>shortages<\/code>/)
  })

  test('what an application says is text, whatever it says', async () => {
    const hostile = `"'><script>alert(1)</script>&amp;`
    const app = createApp(toy.engine, {
      resources: [resource(toySchema.samples)],
      openApi: {
        title: hostile,
        description: `${hostile} \`${hostile}\``,
        problems: { [hostile]: hostile },
        tags: [{ name: hostile, description: hostile }],
        schemas: {
          [hostile]: { description: hostile, enum: [hostile], properties: { [hostile]: { pattern: hostile } } },
        },
        paths: { [`/${hostile}`]: { get: { operationId: hostile, tags: [hostile], summary: hostile, responses: {} } } },
      },
    })
    for (const path of ['/', '/docs']) {
      const text = await (await app.request(path, { headers: { accept: browser } })).text()
      expect(text).not.toContain('<script')
      expect(text).toContain('&#38;amp;')
    }
  })
})

test('no two resources share a name in the document, whatever their paths are', async () => {
  const paths = ['orders', 'new-orders', 'orders-page', 'orders.page', 'orders_patch', 'problem', 'Orders', '~', '2.0']
  const resources = paths.map((path) => resource(toySchema.samples, { path }))
  const response = await createApp(toy.engine, { resources }).request('/openapi.json')
  const text = await response.text()
  const { paths: routes, components } = JSON.parse(text) as {
    paths: Record<string, Record<string, { operationId?: string }>>
    components: { schemas: Record<string, unknown> }
  }
  const names = Object.keys(components.schemas)
  // A row, a page, a new row and a patch of each, and the problem.
  expect(names).toHaveLength(paths.length * 4 + 1)
  expect(names.filter((name) => !/^[A-Za-z0-9._-]+$/.test(name))).toEqual([])
  const ids = Object.values(routes).flatMap((item) =>
    Object.values(item).flatMap(({ operationId }) => operationId ?? []),
  )
  expect(new Set(ids).size).toBe(ids.length)
  const named = Array.from(text.matchAll(/#\/components\/schemas\/([^"]+)/g), ([, name]) => name)
  expect(named.filter((name) => !names.includes(name ?? ''))).toEqual([])
})

test.each([
  [undefined, 'application/json'],
  ['*/*', 'application/json'],
  ['application/json', 'application/json'],
  ['application/json, text/html;q=0.9', 'application/json'],
  ['image/png', 'application/json'],
  [browser, 'text/html; charset=utf-8'],
  ['text/html', 'text/html; charset=utf-8'],
])('GET / answers Accept: %s with %s', async (accept, type) => {
  const response = await shop.request('/', accept === undefined ? {} : { headers: { accept } })
  expect(response.headers.get('content-type')).toBe(type)
  expect(response.headers.get('vary')).toBe('accept')
  expect(await response.text()).toContain(type === 'application/json' ? '"docs":"/docs"' : '<a href="/customers')
})

test('HEAD has the lengths of GET', async () => {
  const app = createShopApp(shop.engine)
  for (const path of ['/', '/docs', '/openapi.json']) {
    const [got, head] = await Promise.all([app.request(path), app.request(path, { method: 'HEAD' })])
    expect(head.headers.get('content-length')).toBe(got.headers.get('content-length'))
    expect(await head.text()).toBe('')
  }
})
