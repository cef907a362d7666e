/** Plans of anything that a session can send: what they tell, and that asking for one changes nothing. */
import { eq, gt, sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DatabaseError, InvalidInput, UsageError } from '../../src/errors.ts'
import type { PlanNode } from '../../src/plan/query-plan.ts'
import { defineQuery } from '../../src/repository/define-query.ts'
import { defineRepository } from '../../src/repository/define-repository.ts'
import { accounts, type Bank, bankSchema, type BankEngine, openBank, Recorder } from '../support/bank.ts'
import { everythingIn, expectQuiet, secret } from '../support/invariants.ts'

const { entries } = bankSchema
const rows = 20_000

let bank: Bank
let engine: BankEngine
const recorder = new Recorder()
beforeAll(async () => {
  bank = await openBank()
  engine = await bank.engine({ observe: recorder.observe, pool: { max: 1 } })
  await engine.session(async ({ sql }) => {
    await sql`insert into accounts select n, 'owner ' || n, 100 from generate_series(11, ${rows}::int) n`
    await sql`analyze accounts`
  })
})
afterAll(() => bank[Symbol.asyncDispose]())

function nodes(node: PlanNode): readonly PlanNode[] {
  return [node, ...node.children.flatMap(nodes)]
}

const byOwner = fragment`select * from accounts where owner = ${secret}`

describe('explain takes', () => {
  test('a Drizzle query of any kind, without running it', async () => {
    await engine.session(async ({ db, explain }) => {
      const queries = [
        [db.select().from(accounts).where(eq(accounts.id, 5)), 'Index Scan'],
        [db.query.accounts.findMany({ limit: 3 }), 'Limit'],
        [db.insert(accounts).values({ id: -1, owner: 'new', balance: 1 }), 'ModifyTable'],
        [db.update(accounts).set({ balance: 0 }).where(gt(accounts.id, 1)), 'ModifyTable'],
        [db.delete(accounts), 'ModifyTable'],
        [fragment`select count(*) from accounts`, 'Aggregate'],
      ] as const
      for (const [query, kind] of queries) expect((await explain(query as never)).root.kind).toBe(kind)
      expect(await db.$count(accounts, eq(accounts.balance, 100))).toBe(rows)
    })
  })

  test('a function of a session, and explains the first statement that it would send', async () => {
    const richest = defineQuery<typeof bankSchema, unknown>((db) =>
      db.select().from(accounts).orderBy(accounts.balance).limit(1),
    )
    const accountsOf = defineRepository(accounts, (base) => ({
      named: (owner: string) => base.list({ where: { owner } }),
    }))
    await engine.transaction(async ({ explain, backendPid }) => {
      const text = async (call: Parameters<typeof explain>[0]) => (await explain(call)).statement
      expect(await text(({ sql }) => sql`select ${1}::int`)).toBe('select $1::int')
      expect(await text(({ db }) => db.delete(entries))).toBe('delete from "entries"')
      expect(await text((session) => richest(session))).toContain('order by "accounts"."balance"')
      expect(await text((session) => accountsOf(session).named('x'))).toContain('"owner" = $1')
      expect(await text(({ transaction }) => transaction(({ sql }) => sql`select 2`))).toBe('select 2')
      expect(await text(({ stream }) => stream(byOwner))).toContain('where owner = $1')
      const two = ({ sql }: { sql: (s: TemplateStringsArray) => Promise<unknown> }) => [sql`select 1`, sql`select 2`][1]
      expect(await text(two as never)).toBe('select 1')
      expect(backendPid).toBeGreaterThan(0)
    })
  })

  test('every operation of a repository that sends a statement, and sends none', async () => {
    const row = { id: -1, owner: 'new', balance: 1 }
    await engine.transaction(async ({ explain, repository }) => {
      const before = await repository(accounts).count()
      type Operation = (base: ReturnType<typeof repository<typeof accounts>>) => unknown
      const operations: Readonly<Record<string, Operation>> = {
        get: (base) => base.get(1),
        find: (base) => base.find({ owner: 'a' }),
        getMany: (base) => base.getMany([1, 2]),
        load: (base) => base.load(1),
        exists: (base) => base.exists(1),
        count: (base) => base.count(),
        list: (base) => base.list({ where: { balance: { gt: 5 } }, orderBy: { owner: 'asc' }, count: true }),
        stream: (base) => base.stream({ where: { balance: 5 } }),
        lock: (base) => base.lock(1, 'update'),
        insert: (base) => base.insert(row),
        insertMany: (base) => base.insertMany([row]),
        update: (base) => base.update(1, { owner: 'b' }),
        updateMany: (base) => base.updateMany([{ id: 1, owner: 'b' }]),
        updateWhere: (base) => base.updateWhere({ owner: 'a' }, { owner: 'b' }),
        upsert: (base) => base.upsert(row),
        upsertMany: (base) => base.upsertMany([row, { ...row, id: -2 }]),
        remove: (base) => base.remove(1),
        removeWhere: (base) => base.removeWhere({ owner: 'owner 1' }),
      }
      for (const [name, operation] of Object.entries(operations)) {
        const plan = await explain((session) => operation(session.repository(accounts)))
        expect(
          nodes(plan.root).some(({ table }) => table === 'public.accounts'),
          name,
        ).toBe(true)
      }
      expect(await repository(accounts).count()).toBe(before)
      expect(await repository(accounts).exists({ owner: 'b' })).toBe(false)
    })
  })

  test('no call on the session around it, which would be done: nothing of it reaches the server', async () => {
    await engine.session(async ({ db, sql, explain, repository }) => {
      const calls = [
        () => db.delete(accounts),
        () => sql`delete from accounts`,
        () => repository(accounts).remove(1),
        () => db.transaction(async (tx) => void (await tx.delete(accounts))),
      ]
      for (const call of calls) await expect(explain(call)).rejects.toThrow(/use the session it was given/)
      expect(await db.$count(accounts)).toBe(rows)
      expect((await explain(({ db: given }) => given.delete(accounts))).root.kind).toBe('ModifyTable')
    })
  })

  test('a query that fails in a transaction, which goes on', async () => {
    await engine.transaction(async ({ sql, explain }) => {
      await expect(explain(fragment`select * from nowhere`)).rejects.toThrow(DatabaseError)
      expect(await sql`select 1 as one`).toEqual([{ one: 1 }])
    })
  })

  test('no statement that a rule does away with', async () => {
    await engine.session(async ({ sql, explain }) => {
      await sql`create table ruled (id int)`
      await sql`create rule nothing as on insert to ruled do instead nothing`
      await expect(explain(fragment`insert into ruled values (1)`)).rejects.toThrow(/has no plan: a rule/)
    })
  })

  test('no call without a statement, no statement without a plan, and no option that it does not have', async () => {
    await engine.session(async ({ explain, sql }) => {
      const wrong = [
        () => explain(() => 1),
        () => explain(5 as never),
        () => explain(fragment`vacuum accounts`),
        () => explain(fragment`explain select 1`),
        () => explain(fragment`select 1`, { analyse: true } as never),
        () => explain(fragment`select 1`, { buffers: true }),
        () => explain(fragment`select 1`, { analyze: true, generic: true }),
        () => explain(fragment`select 1`, { settings: { work_mem: 5 } as never }),
      ]
      for (const call of wrong) await expect(call()).rejects.toThrow(UsageError)
      const script = explain(({ db }) => db.execute(fragment`select 1; select 2`))
      await expect(script).resolves.toMatchObject({ statement: 'select 1' })
      await expect(explain(({ repository }) => repository(accounts).get('x' as never))).rejects.toThrow(InvalidInput)
      await expect(explain(fragment`select no_such_column from accounts`)).rejects.toThrow(DatabaseError)
      // One statement, by the protocol: what follows is never run.
      await expect(explain(fragment`select 1; delete from accounts`)).rejects.toThrow(DatabaseError)
      await expect(explain(fragment`select 1; delete from accounts`, { generic: true })).rejects.toThrow(DatabaseError)
      expect(await sql`select count(*)::int as n from accounts`).toEqual([{ n: rows }])
    })
  })
})

describe('a plan', () => {
  test('says of a scan how many rows it reads for how many that are wanted, by the statistics or by running it', async () => {
    await engine.session(async ({ explain }) => {
      const expected = await explain(byOwner)
      expect(expected.warnings).toMatchObject([
        {
          code: 'sequential_scan',
          message: expect.stringMatching(/^sequential scan of about 20,000 rows of public.accounts for 1 row wanted/),
        },
      ])
      const found = await explain(byOwner, { analyze: true })
      expect(found.warnings).toMatchObject([
        {
          code: 'sequential_scan',
          message: expect.stringMatching(/^sequential scan of 20,000 rows of public.accounts for 0 rows/),
        },
      ])
      expect(found.text).toContain(`! ${found.warnings[0]?.message}`)
      expect((await explain(({ repository }) => repository(accounts).get(1))).warnings).toEqual([])
      expect((await explain(fragment`select * from accounts`, { analyze: true })).warnings).toEqual([])
    })
  })

  test('has times and rows for each step and in all with analyze, and pages with buffers', async () => {
    await engine.session(async ({ explain }) => {
      const { root, planningMs, executionMs } = await explain(byOwner)
      expect([root.actual, root.buffers, planningMs, executionMs]).toEqual([undefined, undefined, undefined, undefined])
      const counted = fragment`select count(*) from accounts where balance = 100`
      const plan = await explain(counted, { analyze: true, buffers: true })
      expect(plan).toMatchObject({ planningMs: expect.any(Number), executionMs: expect.any(Number), generic: false })
      const all = nodes(plan.root)
      expect(all.find(({ kind }) => kind === 'Seq Scan')?.actual?.rows).toBe(rows)
      expect(plan.root.actual).toMatchObject({ rows: 1, loops: 1 })
      for (const { actual, buffers } of all) {
        expect(actual?.totalMs).toBeGreaterThanOrEqual(actual?.selfMs ?? Infinity)
        expect((buffers?.hit ?? 0) + (buffers?.read ?? 0)).toBeGreaterThan(0)
      }
      expect(plan.text).toMatch(/Aggregate: 1 row \(1 row expected\), [\d.]+ ms \([\d.]+ ms of its own\), pages: \d+/)
    })
  })

  test('says that a sort spilled, that a hash did, and that an estimate is a hundred times off', async () => {
    await engine.session(async ({ explain }) => {
      const settings = { work_mem: '64kB', enable_indexscan: 'off', max_parallel_workers_per_gather: '0' }
      const sorted = await explain(fragment`select * from accounts order by owner`, { analyze: true, settings })
      expect(sorted.warnings).toMatchObject([{ code: 'sort_spilled', message: expect.stringContaining('kB to disk') }])
      const joined = fragment`select * from accounts a join accounts b on a.owner = b.owner`
      const hashed = { ...settings, enable_mergejoin: 'off', enable_nestloop: 'off' }
      expect((await explain(joined, { analyze: true, settings: hashed })).warnings.map(({ code }) => code)).toContain(
        'hash_spilled',
      )
      // Of an expression without statistics the planner takes one row in two hundred for granted.
      const dependent = fragment`select * from accounts where balance + id % 1 = 100`
      const { warnings } = await explain(dependent, { analyze: true })
      expect(warnings).toMatchObject([
        {
          code: 'wrong_estimate',
          message: expect.stringMatching(/expected to give \d+ rows and gave 20,000 rows, \d+ times off/),
        },
      ])
      const unused = fragment`select * from accounts where id > 0 limit 1`
      expect((await explain(unused, { analyze: true })).warnings).toEqual([])
    })
  })

  test('says what is wrong with an index, with a scan that is repeated, and with a trigger', async () => {
    await engine.session(async ({ explain, sql }) => {
      await sql`create table owners (name text primary key)`
      // What is vacuumed meanwhile would need no look at its rows.
      await sql`create table pets (id int primary key, owner text not null references owners, kind int not null)
        with (autovacuum_enabled = false)`
      await sql`insert into owners select 'owner ' || n from generate_series(1, 300) n`
      await sql`insert into pets select n, 'owner 1', n from generate_series(1, 5000) n`
      await sql`create index pets_owner on pets (owner)`
      await sql`analyze owners, pets`
      const analyze = true
      const off = { enable_seqscan: 'off', enable_bitmapscan: 'off' }
      const codes = async (text: string, settings: Record<string, string> = {}) =>
        (await explain(fragment.raw(text), { analyze, settings })).warnings.map(({ code }) => code)
      expect(await codes("select * from pets where owner = 'owner 1' and kind = 5", off)).toContain('rows_discarded')
      expect(await codes('select id from pets where id > 0', off)).toEqual(['heap_fetches'])
      const loop = { enable_hashjoin: 'off', enable_mergejoin: 'off', enable_material: 'off', enable_indexscan: 'off' }
      const joined =
        'select * from owners o cross join lateral (select * from pets p where p.kind = length(o.name) offset 0) p'
      expect(await codes(joined, { ...loop, max_parallel_workers_per_gather: '0' })).toContain('repeated_scan')
      await sql`create table wide (id int primary key, page text) with (fillfactor = 10)`
      await sql`insert into wide select n, repeat('x', 900) from generate_series(1, 3000) n`
      const bitmap = { enable_seqscan: 'off', enable_indexscan: 'off', work_mem: '64kB' }
      expect(await codes('select * from wide where id > 0', bitmap)).toContain('bitmap_lossy')
      await sql`drop index pets_owner`
      expect(await codes("delete from owners where name <> 'owner 1'")).toContain('slow_trigger')
    })
  })

  test('shows the values that the query was given, and none with generic', async () => {
    await engine.session(async ({ explain }) => {
      expect((await explain(byOwner)).text).toContain(secret)
      const generic = await explain(byOwner, { generic: true })
      expect(everythingIn(generic)).not.toContain(secret)
      expect(generic).toMatchObject({ generic: true, statement: 'select * from accounts where owner = $1' })
      expect(generic.text).toContain('$1')
    })
    expect(everythingIn(recorder.all)).not.toContain(secret)
  })
})

describe('explain with analyze', () => {
  test('leaves nothing of a write, outside a transaction and in one, which goes on', async () => {
    await engine.session(async ({ db, explain, sql, transaction }) => {
      const { root } = await explain(db.delete(accounts), { analyze: true })
      expect(nodes(root).at(-1)?.actual?.rows).toBe(rows)
      await transaction(async (inner) => {
        await inner.sql`update accounts set owner = 'kept' where id = 1`
        await inner.explain(({ repository }) => repository(accounts).update(1, { owner: 'undone' }), { analyze: true })
        expect(await inner.repository(accounts).get(1)).toMatchObject({ owner: 'kept' })
      })
      expect(await sql`select count(*)::int as n, min(owner) filter (where id = 1) as owner from accounts`).toEqual([
        { n: rows, owner: 'kept' },
      ])
    })
    await expectQuiet(engine, bank.admin)
  })

  test('rejects with the error of the statement, and the session goes on', async () => {
    await engine.session(async ({ db, explain, sql }) => {
      const twice = db.insert(accounts).values({ id: 1, owner: 'again', balance: 1 })
      await expect(explain(twice, { analyze: true })).rejects.toMatchObject({ code: 'unique_violation' })
      expect(await sql`select 1 as n`).toEqual([{ n: 1 }])
    })
    const write = engine.transaction(({ db, explain }) => explain(db.delete(accounts), { analyze: true }), {
      readOnly: true,
    })
    await expect(write).rejects.toMatchObject({ sqlState: '25006' })
  })

  test('is cut short by the deadline of its session', async () => {
    const slow = engine.session(({ explain }) => explain(fragment`select pg_sleep(60)`, { analyze: true }), {
      timeoutMs: 100,
    })
    await expect(slow).rejects.toMatchObject({ code: 'deadline_exceeded' })
    await expectQuiet(engine, bank.admin)
  })
})
