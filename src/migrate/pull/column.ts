/**
 * A column as Drizzle declares it. Defaults that are more than a plain value are given in SQL, as PostgreSQL prints
 * them.
 */
import { sqlTemplate } from './expression.ts'
import { quotedText } from './names.ts'
import { quoteIn } from './quotes.ts'
import type { PulledColumn, QualifiedName, PulledSequence } from './pulled-schema.ts'

/** What printing a column needs from the rest of the file. */
export interface ColumnContext {
  /** Records that a name of drizzle-orm/pg-core is used, and returns it. */
  readonly use: (name: string) => string
  /** The enum's constant; undefined when it is not in the file. */
  readonly enumName: (name: QualifiedName) => string | undefined
  /** The constant of a type that Drizzle cannot declare. */
  readonly customType: (type: string, base: string) => string
}

/** `text('name').notNull()`. `isKey`: it is the primary key by itself. */
export function printColumn(column: PulledColumn, isKey: boolean, context: ColumnContext): string {
  const serial = serialOf(column)
  const arrays = '.array()'.repeat(column.dimensions)
  const parts = [serial === undefined ? typeOf(column, context) : serialCall(serial, column.name, context), arrays]
  if (isKey) parts.push('.primaryKey()')
  else if (column.notNull && serial === undefined) parts.push('.notNull()')
  if (column.identity !== null && column.sequence) {
    parts.push(column.identity === 'always' ? '.generatedAlwaysAsIdentity(' : '.generatedByDefaultAsIdentity(')
    const { name } = column.sequence
    parts.push(`${sequenceOptions(column.sequence, quoteIn(name) === undefined ? name : undefined)})`)
  } else if (column.generated !== null && column.default !== null) {
    parts.push(`.generatedAlwaysAs(${sqlTemplate(column.default)})`)
  } else if (column.default !== null && serial === undefined) parts.push(defaultOf(column, column.default))
  return parts.join('')
}

/** The options of a sequence, or of an identity, whose sequence has a name; those that are as usual are left out. */
export function sequenceOptions(sequence: PulledSequence, name?: string): string {
  const usual = usualSequence(sequence.type, sequence.increment.startsWith('-'))
  const options = [
    name === undefined ? '' : `name: ${quotedText(name)}`,
    sequence.start === usual.start ? '' : `startWith: '${sequence.start}'`,
    sequence.increment === '1' ? '' : `increment: '${sequence.increment}'`,
    sequence.min === usual.min ? '' : `minValue: '${sequence.min}'`,
    sequence.max === usual.max ? '' : `maxValue: '${sequence.max}'`,
    sequence.cache === '1' ? '' : `cache: '${sequence.cache}'`,
    sequence.cycle ? 'cycle: true' : '',
  ].filter(Boolean)
  return options.length === 0 ? '' : `{ ${options.join(', ')} }`
}

const limits: Readonly<Record<string, string>> = { smallint: '32767', integer: '2147483647' }

function usualSequence(type: string, descending: boolean) {
  const max = limits[type] ?? '9223372036854775807'
  const lowest = `-${(BigInt(max) + 1n).toString()}`
  return descending ? { start: '-1', min: lowest, max: '-1' } : { start: '1', min: '1', max }
}

/** True when the column's type says that it has a sequence. */
export function isSerial(column: PulledColumn): boolean {
  return serialOf(column) !== undefined
}

/** `serial` and the like stand for a whole number with a sequence of its own, of any name. */
function serialOf({ type, dimensions, notNull, identity, sequence }: PulledColumn): string | undefined {
  const serial = { smallint: 'smallserial', integer: 'serial', bigint: 'bigserial' }[type]
  if (!serial || dimensions > 0 || !notNull || identity !== null || sequence === null) return undefined
  return serial
}

function serialCall(serial: string, name: string, { use }: ColumnContext): string {
  return call(use(serial), name, serial === 'bigserial' ? `{ mode: 'bigint' }` : '')
}

const plainTypes: Readonly<Record<string, string>> = {
  smallint: 'smallint',
  integer: 'integer',
  real: 'real',
  'double precision': 'doublePrecision',
  boolean: 'boolean',
  text: 'text',
  uuid: 'uuid',
  date: 'date',
  json: 'json',
  jsonb: 'jsonb',
  inet: 'inet',
  cidr: 'cidr',
  macaddr: 'macaddr',
  macaddr8: 'macaddr8',
  numeric: 'numeric',
  interval: 'interval',
  point: 'point',
  line: 'line',
  'character varying': 'varchar',
}

/** Types with something in parentheses, or a mode: the spelling, the function, its options. */
const otherTypes: readonly [RegExp, string, (match: RegExpExecArray) => string][] = [
  [/^bigint$/, 'bigint', () => `{ mode: 'bigint' }`],
  [/^character varying\((\d+)\)$/, 'varchar', ([, length]) => `{ length: ${length} }`],
  [/^character\((\d+)\)$/, 'char', ([, length]) => `{ length: ${length} }`],
  [/^numeric\((\d+),(\d+)\)$/, 'numeric', ([, precision, scale]) => `{ precision: ${precision}, scale: ${scale} }`],
  [
    /^timestamp(?:\(([0-6])\))? with(out)? time zone$/,
    'timestamp',
    // As text, because a Date has no microseconds.
    ([, precision, out]) => timeOptions(precision, out, `mode: 'string'`),
  ],
  [/^time(?:\(([0-6])\))? with(out)? time zone$/, 'time', ([, precision, out]) => timeOptions(precision, out, '')],
  [/^interval\(([0-6])\)$/, 'interval', ([, precision]) => `{ precision: ${precision} }`],
  [/^bit\((\d+)\)$/, 'bit', ([, dimensions]) => `{ dimensions: ${dimensions} }`],
  [/^(?:\w+\.)?(vector|halfvec|sparsevec)\((\d+)\)$/, '$1', ([, , dimensions]) => `{ dimensions: ${dimensions} }`],
]

function timeOptions(precision: string | undefined, out: string | undefined, mode: string): string {
  const options = [
    precision === undefined ? '' : `precision: ${precision}`,
    out === undefined ? 'withTimezone: true' : '',
    mode,
  ].filter(Boolean)
  return options.length === 0 ? '' : `{ ${options.join(', ')} }`
}

function typeOf({ name, type, base, enum: enumeration, collation }: PulledColumn, context: ColumnContext): string {
  const { use } = context
  const named = enumeration && context.enumName(enumeration)
  if (named) return call(named, name, '')
  if (collation === null) {
    const plain = plainTypes[type]
    if (plain !== undefined) return call(use(plain), name, '')
    for (const [pattern, target, options] of otherTypes) {
      const match = pattern.exec(type)
      if (match) return call(use(target === '$1' ? (match[1] ?? '') : target), name, options(match))
    }
  }
  const spelt = type.replace(/^character varying/, 'varchar').replace(/^public\.(?=[^.]+$)/, '')
  const known = collation === null ? spelt : `${spelt} collate ${collation}`
  return call(context.customType(known, base ?? type), name, '')
}

function call(target: string, name: string, options: string): string {
  return `${target}(${[quotedText(name), options].filter(Boolean).join(', ')})`
}

function defaultOf({ type, dimensions, enum: enumeration }: PulledColumn, expression: string): string {
  const quoted = /^'([^'\\\n]*)'::[\w ."]+$/.exec(expression)?.[1]
  const plain = dimensions === 0 ? plainDefault(type, expression, quoted, enumeration !== null) : undefined
  return plain ?? `.default(${sqlTemplate(expression)})`
}

/** The default as a value of TypeScript, if that is exactly the same. */
function plainDefault(
  type: string,
  expression: string,
  quoted: string | undefined,
  isEnum: boolean,
): string | undefined {
  if (/^(?:smallint|integer|real|double precision)$/.test(type) && /^\d{1,9}$/.test(expression)) {
    return `.default(${expression})`
  }
  if (type === 'boolean' && /^(?:true|false)$/.test(expression)) return `.default(${expression})`
  if (type.startsWith('timestamp') && expression === 'now()') return '.defaultNow()'
  if (type === 'uuid' && expression === 'gen_random_uuid()') return '.defaultRandom()'
  if (/^jsonb?$/.test(type) && (quoted === '{}' || quoted === '[]')) return `.default(${quoted})`
  const isText = isEnum || /^(?:text|character(?: varying)?(?:\(\d+\))?)$/.test(type)
  return isText && quoted !== undefined ? `.default(${quotedText(quoted)})` : undefined
}
