/** The SQL that corrects a difference, if PostgreSQL's own definition of the object tells it. */
import type { Difference } from '../migrate/schema/describe.ts'

/** Turns the actual state into the expected one; undefined if more has to be known. */
export function remedy({ object, expected, actual }: Difference): string | undefined {
  const [, kind = '', name = ''] =
    /^(index|row security on|schema|(?:materialized )?view|constraint|column) (.*)$/s.exec(object) ?? []
  if (expected === undefined) return undefined
  if (kind === 'column') return columnRemedy(name, expected, actual)
  if (labels(expected) !== undefined && labels(expected) === labels(actual ?? '')) {
    return `-- ${object}: the labels are the same, but in another order; use the database's order in the code`
  }
  if (kind === 'constraint') return constraintRemedy(name, expected, actual)
  if (kind === 'index') return `${actual === undefined ? '' : `DROP INDEX ${name};\n`}${expected};`
  if (kind === 'row security on') return `ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY;`
  if (actual !== undefined) return undefined
  if (kind === 'schema') return `CREATE SCHEMA ${name};`
  if (!kind.endsWith('view')) return undefined
  const [, options = '', query = ''] = /^((?:\w+=\S+ )*)(.*)$/s.exec(expected) ?? []
  const settings = options === '' ? '' : ` WITH (${options.trim().replaceAll(' ', ', ')})`
  return `CREATE ${kind.toUpperCase()} ${name}${settings} AS\n${query.trim()}`
}

function constraintRemedy(entry: string, expected: string, actual: string | undefined): string | undefined {
  const [, schema, name, table] = /^((?:"(?:[^"]|"")*"|[^".]+)\.)(.*) on (.*)$/s.exec(entry) ?? []
  const alter = `ALTER TABLE ${schema}${table}`
  if (actual === `${expected} NOT VALID`) return `${alter} VALIDATE CONSTRAINT ${name};`
  if (actual === `${expected} DISABLED`) return `${alter} ENABLE TRIGGER ALL;`
  const drop = actual === undefined ? '' : `${alter} DROP CONSTRAINT ${name};\n`
  return `${drop}${alter} ADD CONSTRAINT ${name} ${expected};`
}

function columnRemedy(entry: string, expected: string, actual: string | undefined): string | undefined {
  const [, table, column] = /^(.*)\.("(?:[^"]|"")*"|[^".]+)$/s.exec(entry) ?? []
  // Identity, generated and serial columns need more than this.
  if (/ generated | stored | virtual |nextval of its own/.test(`${expected} ${actual ?? ''} `)) return undefined
  if (actual === undefined) return `ALTER TABLE ${table} ADD COLUMN ${column} ${expected};`
  const [wanted, is] = [parts(expected), parts(actual)]
  if (wanted.type.endsWith('[]') !== is.type.endsWith('[]')) return undefined
  const change = (action: string) => `ALTER TABLE ${table} ALTER COLUMN ${column} ${action};`
  const steps: string[] = []
  if (wanted.type !== is.type) steps.push(change(`TYPE ${wanted.type}`))
  if (wanted.notNull !== is.notNull) steps.push(change(wanted.notNull ? 'SET NOT NULL' : 'DROP NOT NULL'))
  if (wanted.value !== is.value)
    steps.push(change(wanted.value === undefined ? 'DROP DEFAULT' : `SET DEFAULT ${wanted.value}`))
  return steps.join('\n')
}

function parts(definition: string) {
  const [before = '', value] = definition.split(/ default (.*)$/s)
  return { type: before.replace(/ not null\b/, ''), notNull: / not null\b/.test(before), value }
}

/** The labels of an enum in alphabetical order; undefined for anything else. */
function labels(definition: string): string | undefined {
  return definition.startsWith('enum ')
    ? definition
        .slice(5)
        .split(/, (?=')/)
        .sort()
        .join()
    : undefined
}
