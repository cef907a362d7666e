/** A relation to one row on either side: null where Drizzle gives null, unless the type promises the row. */
import { describe, expect, test } from 'vitest'
import { NotFound, UsageError } from '../../src/errors.ts'
import { ownTables } from '../support/own-tables.ts'
import * as sides from '../support/relation-sides.ts'
import { labs, providers, relationSidesDdl, runs } from '../support/relation-sides.ts'

const { undone } = ownTables('relation_sides', relationSidesDdl, sides)

describe('a relation to one', () => {
  test('on the parent’s side is null for a parent without a child, as in Drizzle', async () => {
    await undone(async ({ repository, db }) => {
      const { rows } = await repository(providers).list({ with: { hub: true, lab: true } })
      expect(rows).toEqual([
        { id: 1, name: 'a', hub: { id: 10, providerId: 1 }, lab: null },
        { id: 2, name: 'b', hub: null, lab: { id: 20, providerId: 2 } },
      ])
      expect(rows).toEqual(
        await db.query.providers.findMany({ with: { hub: true, lab: true }, orderBy: ({ id }) => id }),
      )
    })
  })

  test('is null on the child’s side as well where no side says that there are many', async () => {
    await undone(async ({ repository, sql }) => {
      await sql`alter table labs drop constraint labs_provider_id_fkey`
      await sql`delete from providers where id = 2`
      expect(await repository(labs).get(20, { with: { provider: true } })).toMatchObject({ provider: null })
    })
  })

  test('promises the row where the other table has many of this one', async () => {
    await undone(async ({ repository }) => {
      expect((await repository(runs).get(30, { with: { lab: true } })).lab.id).toBe(20)
      await repository(runs).insert({ id: 31, labId: 999 })
      await expect(repository(runs).list({ with: { lab: true } })).rejects.toBeInstanceOf(NotFound)
      const { rows } = await repository(runs).list({ with: { lab: { where: {} } } })
      expect(rows.map(({ lab }) => lab?.id)).toEqual([20, undefined])
    })
  })
})

test.each([
  ['nowhere', 'in the relations of lost'],
  ['named', "relationName: 'named'"],
  ['twice', 'multiple relations with name "twice"'],
] as const)(
  'a relation %s of which the other side is missing or there twice says what to declare',
  async (name, hint) => {
    await undone(async ({ repository }) => {
      const failed: unknown = await repository(providers)
        .list({ with: { [name]: true } as { nowhere: true } })
        .catch((error: unknown) => error)
      expect(failed).toBeInstanceOf(UsageError)
      expect((failed as Error).message).toContain(`relation providers.${name}`)
      expect((failed as Error).message).toContain(hint)
    })
  },
)
