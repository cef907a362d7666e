/** Eight processes migrate an empty database at once. RIVULET_LONG=1 runs 50 rounds instead of 3. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { compiledProgram } from '../support/compiled-package.ts'
import { ledgerRows, makeFolder, openEmptyDatabase, rowsOf } from '../support/migrations.ts'

const rounds = process.env.RIVULET_LONG === '1' ? 50 : 3
const program = compiledProgram('src/cli/main.ts')

interface End {
  readonly exitCode: number
  readonly applied: number
  /** What it said on standard error. */
  readonly messages: string
}

async function migrate(url: string, config: string): Promise<End> {
  const args = [program, 'migrate', '--json', '--config', config]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, DATABASE_URL: url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const closed = once(child, 'close') as Promise<[number]>
  const [output, messages, [exitCode]] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  const { applied = [] } = exitCode === 0 ? (JSON.parse(output) as { applied?: unknown[] }) : {}
  return { exitCode, applied: applied.length, messages }
}

test(
  `8 processes at once, ${rounds} rounds: all exit 0, and each file is applied once`,
  async () => {
    await using project = await makeFolder({
      '0000_init': 'create table t (id int); create table u (n int); insert into u values (1);',
      '0001_fill': 'insert into t select generate_series(1, 1000);',
      '0002_index': 'create index concurrently t_id on t (id);',
      '0003_name': 'alter table t add column name text;',
    })
    const config = join(project.folder, 'drizzle.config.json')
    await writeFile(config, JSON.stringify({ dialect: 'postgresql', out: '.' }))
    for (let round = 0; round < rounds; round += 1) {
      await using database = await openEmptyDatabase()
      const ends = await Promise.all(Array.from({ length: 8 }, () => migrate(database.url, config)))
      expect(ends.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
      expect(ends.reduce((sum, { applied }) => sum + applied, 0)).toBe(4)
      expect(await ledgerRows(database.url)).toHaveLength(4)
      expect(await rowsOf(database.url, 'select (select count(*) from t)::int, (select count(*) from u)::int')).toEqual(
        [[1000, 1]],
      )
      expect(
        await rowsOf(
          database.url,
          "select pid from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
        ),
      ).toEqual([])
    }
  },
  rounds * 20_000,
)
