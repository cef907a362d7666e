/**
 * The console in a real browser, Debian's Chromium (`apt-get install chromium`, or CHROMIUM with its path): what a person sees,
 * with a mouse, with a keyboard, on a phone, in the dark, and with a screen reader as far as axe can tell.
 *
 * With RIVULET_SCREENSHOTS=1 (`npm run screenshots`) the pictures of the documentation are made anew.
 */
import axe from 'axe-core'
import { Hono } from 'hono'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openHttpServer, type HttpServer } from '../../src/server/server.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { gate } from '../support/bank.ts'
import { eventually } from '../support/invariants.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
// It must ask nobody else for anything: neither what is new, nor what is known of a page.
const args = ['sandbox', 'gpu', 'quic'].map((name) => `--no-${name}`)
args.push('--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync')

let shop: TestShop
let server: HttpServer
let browser: Browser
let context: BrowserContext
let page: Page
/** What the page complains of, such as what its policy keeps from it. */
let complaints: string[]

beforeAll(async () => {
  shop = await openTestShop()
  const app = createShopApp(shop.engine, {
    console: { actions: [{ label: 'Run the product page', path: '/product/1/1' }] },
  })
  server = await openHttpServer(app, { port: 0 })
  browser = await chromium.launch({ executablePath, args })
})
afterAll(async () => {
  await browser.close()
  await server.close()
  await shop[Symbol.asyncDispose]()
})

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1100, height: 900 } })
  page = await context.newPage()
  complaints = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(`${server.url}/console`)
  await page.getByText('Live', { exact: true }).waitFor()
})
afterEach(async () => {
  expect(complaints).toEqual([])
  await context.close()
})

/** Asks for the product page by the button, and waits until its gather is shown. */
async function runProductPage(): Promise<void> {
  const before = await page.locator('.gather').count()
  await page.getByRole('button', { name: 'Run the product page' }).click()
  await page.getByText(/^GET \/product\/1\/1 answered 200 in/).waitFor()
  await eventually(async () => expect(await page.locator('.gather').count()).toBeGreaterThan(before))
}

interface Violation {
  readonly id: string
  readonly nodes: readonly { readonly html: string }[]
}

async function violations(): Promise<string[]> {
  const { violations } = (await page.evaluate(`${axe.source}; axe.run()`)) as { violations: Violation[] }
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`)
}

describe('a gather', () => {
  test('appears with three bars that overlap, one connection each', async () => {
    const figure = page.locator('.gather').first()
    // The first may find one connection open, and all of its tasks on it; on a busy machine a task may begin late.
    await eventually(async () => {
      await runProductPage()
      const bars = await figure.locator('.bar.statement').all()
      const boxes = await Promise.all(bars.map((bar) => bar.boundingBox()))
      expect([await figure.locator('li').count(), boxes.length]).toEqual([3, 3])
      const latestStart = Math.max(...boxes.map((box) => box?.x ?? Infinity))
      const firstEnd = Math.min(...boxes.map((box) => (box ? box.x + box.width : 0)))
      expect(latestStart).toBeLessThan(firstEnd)
    }, 60_000)
    expect(await figure.locator('h3').innerText()).toMatch(
      /GET \/product\/:productId\/:customerId\s+[\d.]+\sms\s+one after/,
    )
    const lanes = await figure.locator('.lane').allInnerTexts()
    expect(lanes.map((text) => text.split(':')[0])).toEqual(['product', 'reviews', 'orders'])
    expect(new Set(lanes.map((text) => /backend \d+/.exec(text)?.[0])).size).toBe(3)
  })

  test('shows the sibling that was cancelled', async () => {
    await shop.engine
      .gather(
        { late: ({ sql }) => sql`select pg_sleep(60)`, broken: ({ sql }) => sql`select 1 / (select 0)` },
        { label: 'torn' },
      )
      .catch(() => undefined)
    const figure = page.locator('.gather', { hasText: 'torn' })
    await figure.waitFor()
    expect(await figure.innerText()).toMatch(/late: .*ran .*, cancelled[^]*broken: .*failed \(22012\)/)
    await figure.locator('.cancelled .bar.statement').waitFor()
    const bar = "document.querySelector('.cancelled .bar.statement')"
    const background = await page.evaluate(`getComputedStyle(${bar}).backgroundImage`)
    expect(background).toContain('repeating-linear-gradient')
  })
})

test('a blocked session shows who blocks it, until it does no more', async () => {
  const [locked, done] = [gate(), gate()]
  const first = shop.engine.transaction(
    async ({ sql }) => {
      await sql`select 1 from products where id = 1 for update`
      locked.open()
      await done.opened
    },
    { label: 'stock-taking' },
  )
  await locked.opened
  const second = shop.engine.session(({ sql }) => sql`update products set stock = stock where id = 1`, {
    label: 'order',
  })
  const row = page.getByRole('row', { name: /^order/ })
  await row.getByText(/^blocked by stock-taking \(backend \d+\)$/).waitFor()
  done.open()
  await Promise.all([first, second])
  await page.getByText('No session is open.').waitFor()
})

test('a plan opens and closes by keyboard, and the focus is where it was', async () => {
  await runProductPage()
  const statement = page.getByRole('button', { name: 'select products' })
  await statement.focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog', { name: 'select products' })
  await dialog.getByText(/^Index Scan of public.products by products_pkey: 1 row expected/).waitFor()
  expect(await dialog.getByText(/Index Cond: \(products.id = \$1\)/).count()).toBe(1)
  expect(await violations()).toEqual([])
  await picture('console-plan')
  await page.keyboard.press('Escape')
  expect(await dialog.isVisible()).toBe(false)
  // What is shown was written anew meanwhile, in its place.
  expect(await page.evaluate('document.activeElement.textContent')).toBe('select products')
})

test('statements are ordered as one asks', async () => {
  await runProductPage()
  await page.getByRole('button', { name: 'Most frequent' }).click()
  expect(await page.getByRole('button', { name: 'Most frequent' }).getAttribute('aria-pressed')).toBe('true')
  const counts = await page.locator('#statements tr td:nth-child(2)').allInnerTexts()
  expect(counts.map(Number)).toEqual(counts.map(Number).toSorted((a, b) => b - a))
})

test('a row that changes its place keeps the focus', async () => {
  const often = (text: string, times: number) =>
    shop.engine.session(async ({ sql }) => {
      for (let time = 0; time < times; time += 1) await sql(Object.assign([text], { raw: [text] }) as never)
    })
  await often('select 1 from users', 2)
  await often('select 1 from reviews', 3)
  await page.getByRole('button', { name: 'Most frequent' }).click()
  const last = page.getByRole('button', { name: 'select users' })
  await last.focus()
  await often('select 1 from users', 5)
  await eventually(async () =>
    expect(await page.locator('#statements button').first().innerText()).toBe('select users'),
  )
  expect(await page.evaluate('document.activeElement.textContent')).toBe('select users')
})

test('under a prefix it finds its parts', async () => {
  const outer = new Hono().route('/api', createShopApp(shop.engine) as never)
  await using mounted = await openHttpServer(outer, { port: 0 })
  await page.goto(`${mounted.url}/api/console`)
  await page.getByText('Live', { exact: true }).waitFor()
  expect(await page.getByRole('link', { name: 'Documentation' }).evaluate((link) => String(link))).toBe(
    `${mounted.url}/api/docs`,
  )
})

test('Pause keeps what is there', async () => {
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.getByText('Paused').waitFor()
  await page.getByRole('button', { name: 'Run the product page' }).click()
  await page.getByText(/^GET \/product\/1\/1 answered 200 in/).waitFor()
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.getByText('Live', { exact: true }).waitFor()
})

test.each(['light', 'dark'] as const)(
  'axe finds nothing, nor does the page get too wide for a phone: %s',
  async (colorScheme) => {
    await page.emulateMedia({ colorScheme })
    await runProductPage()
    await page.locator('#statements tr').first().waitFor()
    expect(await violations()).toEqual([])
    if (colorScheme === 'light') await picture('console')
    await page.setViewportSize({ width: 400, height: 800 })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(400)
    expect(await violations()).toEqual([])
  },
)

test('names that look like HTML are text', async () => {
  const label = '<img src=x onerror=alert(1)>'
  await shop.engine.gather({ [label]: ({ sql }) => sql`select 1` }, { label })
  await page.locator('.gather', { hasText: label }).waitFor()
  expect(await page.locator('img').count()).toBe(0)
})

test('the page stays fluid while a thousand sessions run, and shows that it leaves some out', async () => {
  let frames = 0
  await page.exposeFunction('framed', () => (frames += 1))
  await page.evaluate('(function frame() { framed(); requestAnimationFrame(frame) })()')
  const load = async (lane: number) => {
    for (let count = 0; count < 250; count += 1) {
      await shop.engine.gather(
        { one: ({ sql }) => sql`select 1`, two: ({ sql }) => sql`select 2` },
        { label: `load ${lane}` },
      )
    }
  }
  await Promise.all([0, 1, 2, 3].map(load))
  await page.getByText(/^1,000 since the first page was opened/).waitFor()
  expect(await page.locator('.gather').count()).toBeLessThanOrEqual(10)
  const before = frames
  await eventually(() => expect(frames).toBeGreaterThan(before))
})

test('nothing is left when the tab has closed', async () => {
  await page.close()
  await eventually(async () => {
    const [row] = await shop.engine.session(
      ({ sql }) => sql<{ beside: number }>`
        select count(*)::int - ${shop.engine.stats().open}::int as beside from pg_stat_activity
        where application_name = 'rivulet' and datname = current_database()`,
    )
    expect(row).toEqual({ beside: 0 })
  })
})

/** Writes what is seen now into the documentation, where that was asked for. */
async function picture(name: string): Promise<void> {
  if (process.env['RIVULET_SCREENSHOTS'] === undefined) return
  await page.screenshot({ path: new URL(`../../docs/${name}.png`, import.meta.url).pathname })
}
