/**
 * What a schema of 60 tables costs the type checker, beyond Drizzle's own types: a number of instantiations that does
 * not depend on the machine. And what an editor shows when it hovers over the types people meet: TypeScript's own
 * language server is asked, over LSP.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = new URL('../..', import.meta.url).pathname
const tables = 60

/** Instantiations that all the uses of repositories below may cost together: half of what Drizzle itself costs here. */
const budget = 550_000

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rivulet-types-'))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'schema.ts'), schema())
  writeFileSync(join(folder, 'plain.ts'), plain())
  writeFileSync(join(folder, 'uses.ts'), uses())
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function schema(): string {
  const blocks = Array.from({ length: tables }, (_, n) => {
    const parent = `table${Math.max(0, n - 1)}`
    return `
export const table${n} = pgTable('table_${n}', {
  id: bigint('id', { mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  parentId: bigint('parent_id', { mode: 'bigint' }),
  name: text('name').notNull(), code: varchar('code', { length: 10 }).notNull().unique(), size: integer('size'),
  price: numeric('price').notNull(), tags: text('tags').array().notNull().default([]), data: jsonb('data'),
  active: boolean('active').notNull().default(true), at: timestamp('at').notNull().defaultNow(), ref: uuid('ref'),
  version: integer('version').notNull().default(1),
})
export const table${n}Relations = relations(table${n}, ({ one, many }) => ({
  parent: one(${parent}, { fields: [table${n}.parentId], references: [${parent}.id], relationName: 'p${n}' }),
  children: many(table${Math.min(tables - 1, n + 1)}, { relationName: 'p${n + 1}' }),
}))`
  })
  return `import { relations } from 'drizzle-orm'
import { bigint, boolean, integer, jsonb, numeric, pgTable, text, timestamp, uuid, varchar } from 'drizzle-orm/pg-core'
${blocks.join('\n')}`
}

const opening = `import { openEngine } from '${root}src/engine.ts'
import { defineRepository } from '${root}src/repository/define-repository.ts'
import * as schema from './schema.ts'
const engine = await openEngine({ schema })
`

/** The same imports and session without any use of a repository. */
function plain(): string {
  return `${opening}
void defineRepository
await engine.session(async ({ db }) => { await db.select().from(schema.table0) })`
}

function uses(): string {
  const blocks = Array.from({ length: tables }, (_, n) => {
    return `
  const repo${n} = repository(schema.table${n})
  const row${n} = await repo${n}.insert({ name: 'x', code: 'c', price: '1' })
  await repo${n}.update(row${n}.id, { size: 1 })
  await repo${n}.list({ where: { name: { like: 'a%' }, or: [{ size: 1 }, { active: true }] }, orderBy: { at: 'desc' } })
  const loaded${n} = await repo${n}.get(1n, { select: ['id', 'name'], with: { parent: { with: { children: true } } } })
  const name${n}: string = loaded${n}.name
  const of${n} = defineRepository(schema.table${n}, (base) => ({ named: (name: string) => base.find({ name }) }))
  void [name${n}, (await of${n}(session).named('x'))?.code]`
  })
  return `${opening}
await engine.session(async (session) => {
  const { repository } = session
  ${blocks.join('\n')}
})`
}

function instantiations(file: string): number {
  const config = join(folder, `tsconfig.${file}.json`)
  const base = join(root, 'test/tsconfig.json')
  writeFileSync(
    config,
    JSON.stringify({
      extends: base,
      compilerOptions: {
        rootDir: '/',
        typeRoots: [join(root, 'node_modules/@types')],
        rewriteRelativeImportExtensions: false,
        allowImportingTsExtensions: true,
      },
      include: [],
      files: [join(folder, file)],
    }),
  )
  const output = execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', config, '--extendedDiagnostics'], {
    encoding: 'utf8',
  })
  return Number(/Instantiations:\s+(\d+)/.exec(output)?.[1])
}

test(`repositories of ${tables} tables type-check within ${budget} instantiations`, { timeout: 120_000 }, () => {
  const cost = instantiations('uses.ts') - instantiations('plain.ts')
  console.log(`repositories of ${tables} tables: ${cost} instantiations`)
  expect(cost).toBeGreaterThan(0)
  expect(cost).toBeLessThan(budget)
})

/** Names to hover over, in a file on the toy schema. */
const hovered = {
  row: `const row = await session.repository(toy.words).get('a')`,
  page: `const page = await session.repository(toy.exhibits).list({ with: { parts: true } })`,
  repo: `const repo = session.repository(toy.shelves)`,
  wordsOf: `const wordsOf = defineRepository(toy.words, (base) => ({ known: (word: string) => base.exists(word) }), { schema: toy })`,
  key: `declare const key: Key<typeof toy.shelves>`,
  lines: `const lines = session.repository(toy.lines)`,
}

/** Exported types, hovered over by their names. */
const exported = ['Direction', 'Key', 'NewRow', 'Order', 'Patch', 'Row', 'Where']

test('hovering over what people meet shows six lines at most', { timeout: 60_000 }, async () => {
  const file = join(folder, 'hover.ts')
  const text = `import type { Session } from '${root}src/engine.ts'
import { defineRepository } from '${root}src/repository/define-repository.ts'
import type { ${exported.join(', ')} } from '${root}src/repository/row.ts'
import * as toy from '${root}test/support/toy-schema.ts'
declare const session: Session<typeof toy>
${Object.values(hovered).join('\n')}
export { ${Object.keys(hovered).join(', ')} }
export type { ${exported.join(', ')} }
`
  writeFileSync(file, text)
  const shown = await hover(file, text, [...exported, ...Object.keys(hovered)])
  for (const [name, lines] of Object.entries(shown)) {
    expect(lines.length, `${name}:\n${lines.join('\n')}`).toBeLessThanOrEqual(6)
    expect(lines.join(' '), name).not.toMatch(/\bany\b/)
  }
})

/** Asks the language server what it shows at the first place of each name. */
async function hover(file: string, text: string, names: readonly string[]): Promise<Record<string, string[]>> {
  const server = spawn(join(root, 'node_modules/.bin/tsc'), ['--lsp', '--stdio'], { stdio: ['pipe', 'pipe', 'ignore'] })
  const waiting = new Map<number, (result: unknown) => void>()
  let buffered = Buffer.alloc(0)
  server.stdout.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    for (;;) {
      const end = buffered.indexOf('\r\n\r\n')
      if (end === -1) return
      const length = Number(/Content-Length: (\d+)/i.exec(buffered.subarray(0, end).toString())?.[1])
      if (buffered.length < end + 4 + length) return
      const message = JSON.parse(buffered.subarray(end + 4, end + 4 + length).toString()) as Message
      buffered = buffered.subarray(end + 4 + length)
      if (message.method !== undefined && message.id !== undefined) send({ id: message.id, result: null })
      else if (message.id !== undefined) waiting.get(message.id)?.(message.result)
    }
  })
  interface Message {
    readonly id?: number
    readonly method?: string
    readonly params?: unknown
    readonly result?: unknown
  }
  const send = (message: Message) => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  }
  let id = 0
  const ask = (method: string, params: unknown) =>
    new Promise<unknown>((resolve) => {
      waiting.set(++id, resolve)
      send({ id, method, params })
    })
  try {
    const uri = pathToFileURL(file).href
    const capabilities = { textDocument: { hover: { contentFormat: ['plaintext'] } } }
    await ask('initialize', { processId: process.pid, rootUri: pathToFileURL(folder).href, capabilities })
    send({ method: 'initialized', params: {} })
    send({
      method: 'textDocument/didOpen',
      params: { textDocument: { uri, languageId: 'typescript', version: 1, text } },
    })
    const shown: Record<string, string[]> = {}
    for (const name of names) {
      const before = text.slice(0, text.search(new RegExp(`(?<=const |[{,] )${name}\\b`)))
      const position = { line: before.split('\n').length - 1, character: before.length - before.lastIndexOf('\n') - 1 }
      const result = (await ask('textDocument/hover', { textDocument: { uri }, position })) as {
        contents: { value: string }
      }
      shown[name] = result.contents.value.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('```'))
    }
    return shown
  } finally {
    server.kill()
  }
}
