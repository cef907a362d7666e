/**
 * The OpenAPI document as linters see it that nobody here wrote: Spectral's `spectral:oas`, which holds it to the JSON
 * Schema of OpenAPI 3.1 too, and Redocly's strict rules; of the shop, and of a schema with every type and kind of key.
 */
import { createConfig, lintFromString } from '@redocly/openapi-core'
import spectral from '@stoplight/spectral-core'
import { oas } from '@stoplight/spectral-rulesets'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createShopApp } from '../../src/shop/app.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'
import { createToyApp, openToy, type Toy } from '../support/toy.ts'

let shop: TestShop
let toy: Toy
beforeAll(async () => {
  shop = await openTestShop()
  toy = await openToy()
})
afterAll(async () => {
  await shop[Symbol.asyncDispose]()
  await toy[Symbol.asyncDispose]()
})

async function documentOf(name: string): Promise<string> {
  const app =
    name === 'the shop' ? createShopApp(shop.engine, { identity: () => ({ role: 'staff' }) }) : createToyApp(toy)
  return (await app.request('/openapi.json')).text()
}

test('the document says that requests may have a token, where they may', async () => {
  expect(JSON.parse(await documentOf('the shop'))).toMatchObject({
    security: [{ bearer: [] }, {}],
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
  })
  expect(JSON.parse(await documentOf('a schema with everything'))).toMatchObject({ security: [] })
})

describe.each(['the shop', 'a schema with everything'])('the document of %s', (name) => {
  test('passes spectral:oas without a warning', async () => {
    const linter = new spectral.Spectral()
    linter.setRuleset({ extends: [oas as never] })
    const found = await linter.run(JSON.parse(await documentOf(name)))
    expect(found.map(({ code, message, path }) => `${code} ${path.join('/')}: ${message}`)).toEqual([])
  })

  test("passes Redocly's strict rules without an error", async () => {
    const config = await createConfig({ extends: ['recommended-strict'] })
    const source = await documentOf(name)
    const found = await lintFromString({ source, absoluteRef: 'openapi.json', config })
    expect(found.map(({ ruleId, message, location }) => `${ruleId} ${location[0]?.pointer}: ${message}`)).toEqual([])
  })
})
