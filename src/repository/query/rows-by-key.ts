/**
 * Many rows by their keys in one statement, each row given back to the key it was asked by. Keys whose text is always the
 * same are told apart here; for all others the server says which key a row has. Keys of text nearly always tell
 * themselves apart: only for those that seem to be missing among the rows found, the server is asked once more.
 */
import { type SQL, sql } from 'drizzle-orm'
import { isKind } from '../../drizzle/column-kind.ts'
import { textOf } from '../columns/encode.ts'
import { keyCondition, removedCondition, whereClause } from './clauses.ts'
import { CompiledStatement, list, slot } from './compiled-statement.ts'
import { isWanted, keysParameter, wanted, wantedKeys, wantedNumber } from './key-join.ts'
import type { PlainReadOptions, ReadPlan } from './read-plan.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import type { Selection } from './selection.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'

/** A name that no table has. */
const givenKeys = sql.identifier('keys given')

/** The row of each key, as the connection read it; undefined where no row has the key. */
export async function rowsByKey(
  runner: RepositoryRunner,
  plan: TablePlan,
  readPlan: ReadPlan,
  keyed: readonly (readonly unknown[])[],
  removed: PlainReadOptions['removed'],
): Promise<(readonly unknown[] | undefined)[]> {
  if (keyed.length === 0) return []
  const [only] = plan.key
  if (only && plan.key.length === 1 && hasOneText(only)) return byText(runner, plan, readPlan, keyed, removed)
  // Arrays of arrays would be taken apart to their innermost elements.
  const inArrays = plan.key.some(mayEqualOthers) && !plan.key.some(({ column }) => column?.getSQLType().endsWith(']'))
  return (inArrays ? byEqualText : byNumber)(runner, plan, readPlan, keyed, removed)
}

/** True when equal values of the column are always written alike. */
function hasOneText({ column }: PlannedColumn): boolean {
  return isKind(column, 'smallint', 'integer', 'bigint as number', 'bigint', 'uuid', 'text', 'varchar', 'enum')
}

async function byText(
  runner: RepositoryRunner,
  plan: TablePlan,
  readPlan: ReadPlan,
  keyed: readonly (readonly unknown[])[],
  removed: PlainReadOptions['removed'],
): Promise<(readonly unknown[] | undefined)[]> {
  const { selection } = readPlan
  const key = plan.key[0] as PlannedColumn
  const statement = plan.statements.of(`many/${selection.shape}/${removed ?? ''}`, () => {
    const where = whereClause([sql`${key.reference} = any(${slot(0, key.property)})`, removedCondition(plan, removed)])
    return new CompiledStatement(plan.drizzle, sql`select ${selection.sql} from ${plan.source}${where}`)
  })
  const answered = selection.marked(await statement.run(runner, [keyed.map(([value]) => value)]))
  const lowercase = isKind(key.column, 'uuid')
  const textOfKey = (value: unknown) => (lowercase ? textOf(value).toLowerCase() : textOf(value))
  const byKey = new Map(answered.map((row) => [textOfKey(selection.raw(row, key)), row]))
  const found = keyed.map(([value]) => byKey.get(textOfKey(value)))
  if (answered.length === 0 || !mayEqualOthers(key)) return found
  const missing = keyed.filter((_, index) => found[index] === undefined)
  if (missing.length === 0) return found
  const others = (await byEqualText(runner, plan, readPlan, missing, removed)).values()
  return found.map((row) => row ?? others.next().value)
}

/** True when the server may take different texts for equal: under citext, or a collation that ignores case or accents. */
function mayEqualOthers({ column }: PlannedColumn): boolean {
  return isKind(column, 'text', 'varchar')
}

/** Keys in the types that the columns have on the server, which may be citext where we know of text: by the union. */
async function byEqualText(
  runner: RepositoryRunner,
  plan: TablePlan,
  { selection }: ReadPlan,
  keyed: readonly (readonly unknown[])[],
  removed: PlainReadOptions['removed'],
): Promise<(readonly unknown[] | undefined)[]> {
  const statement = plan.statements.of(`equal/${selection.shape}/${removed ?? ''}`, () => {
    const names = plan.key.map((_, index) => sql`${sql.identifier(`k${index}`)}`)
    const types = list(plan.key.map(({ reference }) => sql`array_agg(${reference})`))
    const given = list(plan.key.map(({ property }, index) => sql`${slot(index, property)}`))
    const typed = sql`(select ${types} from ${plan.source} where false union all select ${given}) ${givenKeys} (${list(names)})`
    const rows = sql`unnest(${list(names.map((name) => sql`${givenKeys}.${name}`))}) with ordinality`
    const from = sql`${typed} cross join ${rows} as ${wanted} (${list(names)}, n)`
    const on = keyCondition(plan, (index) => sql`${wanted}.${names[index]}`)
    return joined(plan, selection, { from, on, removed })
  })
  const arrays = plan.key.map((_, index) => keyed.map((key) => key[index]))
  return numbered(keyed, selection.marked(await statement.run(runner, arrays)))
}

async function byNumber(
  runner: RepositoryRunner,
  plan: TablePlan,
  { selection }: ReadPlan,
  keyed: readonly (readonly unknown[])[],
  removed: PlainReadOptions['removed'],
): Promise<(readonly unknown[] | undefined)[]> {
  const statement = plan.statements.of(`numbered/${selection.shape}/${removed ?? ''}`, () => {
    const from = wantedKeys(plan.key, sql`${slot(0)}`)
    return joined(plan, selection, { from, on: isWanted(plan.key, plan.key), removed })
  })
  return numbered(keyed, selection.marked(await statement.run(runner, [keysParameter(keyed)])))
}

/** The row of each key, by the number at the end of the row. */
function numbered(
  keyed: readonly unknown[],
  answered: readonly (readonly unknown[])[],
): (readonly unknown[] | undefined)[] {
  const found: (readonly unknown[] | undefined)[] = keyed.map(() => undefined)
  for (const row of answered) found[Number(row.at(-1)) - 1] = row
  return found
}

/** The rows that belong to wanted keys, with the number of the key behind each. */
function joined(
  plan: TablePlan,
  selection: Selection,
  { from, on, removed }: { readonly from: SQL; readonly on: SQL; readonly removed: PlainReadOptions['removed'] },
): CompiledStatement {
  const where = whereClause([removedCondition(plan, removed)])
  return new CompiledStatement(
    plan.drizzle,
    sql`select ${selection.sql}, ${wantedNumber} from ${from} join ${plan.source} on ${on}${where}`,
  )
}
