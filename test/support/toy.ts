/** A database with the toy schema, and an engine on it. */
import { readFileSync } from 'node:fs'
import { type Engine, openEngine } from '../../src/engine.ts'
import { createApp, type AppOptions } from '../../src/http/app.ts'
import { resource } from '../../src/resource/resource.ts'
import { openTestDatabase, scriptTemplate } from './database.ts'
import * as schema from './toy-schema.ts'

/** An engine on a toy database of its own; closing drops the database. */
export interface Toy extends AsyncDisposable {
  readonly engine: Engine<typeof schema>
  readonly url: string
}

const template = scriptTemplate('toy', readFileSync(new URL('toy-schema.sql', import.meta.url), 'utf8'))

/** Opens an engine with one connection, unless `max` says otherwise. */
export async function openToy(max = 1): Promise<Toy> {
  const database = await openTestDatabase(template)
  const engine = await openEngine({ schema, url: database.url, pool: { max } })
  return {
    engine,
    url: database.url,
    [Symbol.asyncDispose]: async () => {
      await engine.close()
      await database[Symbol.asyncDispose]()
    },
  }
}

/** An application that publishes all of the toy's tables and views. */
export function createToyApp({ engine }: Toy, options: Omit<AppOptions, 'resources'> = {}) {
  const { samples, shelves, exhibits, notes, words, rates, lines, heavy, titles, totals } = schema
  const tables = [samples, shelves, exhibits, notes, words, rates, lines, heavy, titles, totals]
  return createApp(engine, { ...options, resources: tables.map((table) => resource(table as typeof words)) })
}
