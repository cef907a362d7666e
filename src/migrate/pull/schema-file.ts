/**
 * The schema file of a project that starts from a database: enums, sequences, tables, views, relations. Views are
 * declared as existing: their SQL is in the migrations, where their order and the functions they call are known.
 */
import { type ColumnContext, isSerial, printColumn, sequenceOptions } from './column.ts'
import { camelCase, Names, quotedText } from './names.ts'
import { type Undeclarable, withoutQuotedNames } from './quotes.ts'
import { printRelations, type PrintedTable } from './relations.ts'
import type {
  PulledColumn,
  ListedSequence,
  QualifiedName,
  PulledSchema,
  PulledTable,
  PulledView,
} from './pulled-schema.ts'
import { isColumnKey, printExtras } from './table.ts'
import { shownName } from '../../values/quoting.ts'

/** Something that the schema cannot declare, or not exactly. */
interface SchemaNote {
  readonly object: string
  readonly reason: string
  /** True when it is in the migration alone. */
  readonly leftOut: boolean
  /** In the file, counted from 1. */
  readonly line: number
}

export interface SchemaFile {
  readonly text: string
  readonly notes: readonly SchemaNote[]
}

/** Names of drizzle-orm that the file may use, which nothing in it may have. */
const drizzleNames =
  'sql relations customType pgTable pgSchema pgEnum pgSequence pgView pgMaterializedView pgPolicy primaryKey unique ' +
  'foreignKey check index uniqueIndex smallint integer bigint real doublePrecision boolean text uuid date json jsonb ' +
  'inet cidr macaddr macaddr8 numeric interval point line varchar char timestamp time bit vector halfvec sparsevec ' +
  'smallserial serial bigserial table'

/** Prints it. */
export function printSchema(pulled: PulledSchema): SchemaFile {
  return new SchemaPrinter(pulled).print()
}

class SchemaPrinter {
  readonly #pulled: PulledSchema
  readonly #left: readonly Undeclarable[]
  readonly #names = new Names(drizzleNames.split(' '))
  readonly #used = new Set<string>()
  readonly #schemas = new Map<string, string>()
  readonly #enums = new Map<string, string>()
  readonly #customTypes = new Map<string, { readonly constant: string; readonly data: string }>()
  readonly #tables = new Map<string, PrintedTable>()
  /** Sequences that columns own without being serial: they go with their tables, and no schema can make them. */
  readonly #withColumns: readonly ListedSequence[]
  readonly #lines: string[] = []
  readonly #notes: SchemaNote[] = []

  constructor(whole: PulledSchema) {
    const own = ownSequences(whole.tables)
    const sequences = whole.sequences.filter((one) => !own.has(keyOf(one)))
    const { pulled, left } = withoutQuotedNames({ ...whole, sequences })
    this.#pulled = pulled
    this.#left = left
    this.#withColumns = sequences.filter(({ owned }) => owned)
  }

  print(): SchemaFile {
    const { tables, views, enums, sequences } = this.#pulled
    // Tables first, because the names that many lines use should be plain.
    for (const table of tables) {
      const constant = this.#give(table, 'Table')
      this.#tables.set(keyOf(table), { pulled: table, constant, property: properties(table.columns) })
    }
    for (const { schema } of [...tables, ...views, ...enums, ...sequences]) {
      if (schema === 'public' || this.#schemas.has(schema)) continue
      this.#schemas.set(schema, this.#names.give(camelCase(schema), 'Schema'))
    }
    for (const enumeration of enums) this.#enums.set(keyOf(enumeration), this.#give(enumeration, 'Enum'))
    this.#enumsAndSequences()
    for (const table of this.#tables.values()) this.#table(table)
    for (const view of views) this.#view(view)
    const find = (name: QualifiedName) => this.#tables.get(keyOf(name))
    const relations = printRelations([...this.#tables.values()], find, (wanted) => this.#names.give(wanted))
    if (relations.length > 0) this.#used.add('relations')
    this.#lines.push(...relations)
    return this.#file()
  }

  #file(): SchemaFile {
    const body = this.#lines.join('\n').trimEnd()
    if (body.includes('sql`')) this.#used.add('sql')
    const orm = ['relations', 'sql'].filter((name) => this.#used.delete(name))
    const head = [
      ...(orm.length > 0 ? [`import { ${orm.join(', ')} } from 'drizzle-orm'`] : []),
      `import {\n${[...this.#used]
        .sort()
        .map((name) => `  ${name},\n`)
        .join('')}} from 'drizzle-orm/pg-core'`,
      '',
      ...[...this.#schemas].map(([name, constant]) => `export const ${constant} = pgSchema(${quotedText(name)})`),
      ...[...this.#customTypes].map(
        ([type, { constant, data }]) =>
          `const ${constant} = customType<{ data: ${data} }>({ dataType: () => ${quotedText(type)} })`,
      ),
      '',
    ].join('\n')
    const before = head.split('\n').length
    const notes = this.#notes.map((note) => ({ ...note, line: note.line + before }))
    return { text: `${head}\n${body}\n`, notes }
  }

  #enumsAndSequences(): void {
    for (const { object, reason } of this.#left) this.#leaveOut(object, reason)
    for (const { schema, name, labels } of this.#pulled.enums) {
      const call = this.#call(schema, 'pgEnum', 'enum')
      const constant = this.#enums.get(keyOf({ schema, name })) ?? ''
      this.#lines.push(
        `export const ${constant} = ${call}(${quotedText(name)}, [${labels.map(quotedText).join(', ')}])`,
      )
    }
    for (const sequence of this.#pulled.sequences) {
      const reason = this.#withColumns.includes(sequence)
        ? 'its column is not serial, or not in this file'
        : sequence.type === 'bigint'
          ? undefined
          : `its type is ${sequence.type}, but Drizzle makes bigint`
      if (reason !== undefined) {
        this.#leaveOut(`sequence ${shown(sequence)}`, reason)
        continue
      }
      const call = this.#call(sequence.schema, 'pgSequence', 'sequence')
      const options = [quotedText(sequence.name), sequenceOptions(sequence)].filter(Boolean).join(', ')
      this.#lines.push(`export const ${this.#give(sequence, 'Sequence')} = ${call}(${options})`)
    }
    if (this.#lines.length > 0) this.#lines.push('')
  }

  #table({ pulled, constant, property }: PrintedTable): void {
    const key = pulled.constraints.find(isColumnKey)?.columns[0]
    const use = this.#use
    this.#lines.push(`export const ${constant} = ${this.#call(pulled.schema, 'pgTable', 'table')}(`)
    this.#lines.push(`  ${quotedText(pulled.name)},`, '  {')
    for (const column of pulled.columns) {
      const lost = this.#lostDefault(column)
      const kept = lost === undefined ? column : { ...column, default: null }
      const printed = printColumn(kept, column.name === key, this.#columns())
      const comment = lost === undefined ? '' : ` // in the migration alone: default ${lost.replaceAll(/\s+/g, ' ')}`
      this.#lines.push(...`    ${property(column.name)}: ${printed},${comment}`.split('\n'))
      this.#noteColumn(pulled, column)
    }
    this.#lines.push('  },')
    const table = (name: QualifiedName) => this.#tables.get(keyOf(name))
    const extras = printExtras(pulled, { use, property, table })
    if (extras.length > 0) {
      const parameter = extras.some(({ text }) => !text.startsWith('//') && /\btable[.[]/.test(text)) ? 'table' : ''
      this.#lines.push(`  (${parameter}) => [`)
      for (const { text, note } of extras) {
        this.#lines.push(...`    ${text}`.split('\n'))
        if (note !== undefined) this.#note(note.object, note.reason, note.leftOut)
      }
      this.#lines.push('  ],')
    }
    const hasPolicy = extras.some(({ text }) => text.startsWith('pgPolicy('))
    this.#lines.push(pulled.rowSecurity && !hasPolicy ? ').enableRLS()' : ')', '')
  }

  /** A default that uses a sequence which only the migration makes, with the table. */
  #lostDefault(column: PulledColumn): string | undefined {
    const value = column.generated === null && !isSerial(column) ? column.default : null
    return value !== null && this.#withColumns.some(({ reference }) => value.includes(reference)) ? value : undefined
  }

  #noteColumn(table: PulledTable, column: PulledColumn): void {
    const { name, generated } = column
    const object = `column ${shown(table)}.${shownName(name)}`
    if (this.#lostDefault(column) !== undefined)
      this.#note(`default of ${object}`, 'from a sequence that a column owns', true)
    if (generated === 'virtual') this.#note(object, 'is virtual, but Drizzle makes it stored')
  }

  #view(view: PulledView): void {
    const property = properties(view.columns)
    const constant = this.#give(view, 'View')
    const call = view.materialized
      ? this.#call(view.schema, 'pgMaterializedView', 'materializedView')
      : this.#call(view.schema, 'pgView', 'view')
    this.#lines.push(`export const ${constant} = ${call}(${quotedText(view.name)}, {`)
    for (const column of view.columns) {
      this.#lines.push(
        `  ${property(column.name)}: ${printColumn({ ...column, default: null }, false, this.#columns())},`,
      )
    }
    this.#lines.push('}).existing()', '')
  }

  readonly #use = (name: string): string => {
    this.#used.add(name)
    return name
  }

  #columns(): ColumnContext {
    return {
      use: this.#use,
      enumName: (name) => this.#enums.get(keyOf(name)),
      customType: (type, base) => {
        const bare = /^(?:\w+\.)?(\w+)/.exec(type)?.[1] ?? type
        const constant = this.#customTypes.get(type)?.constant ?? this.#names.give(camelCase(bare), 'Type')
        this.#customTypes.set(type, { constant, data: dataOf(base) })
        this.#used.add('customType')
        return constant
      },
    }
  }

  /** `pgTable`, or `audit.table` in the schema of that constant. */
  #call(schema: string, inPublic: string, inSchema: string): string {
    const constant = this.#schemas.get(schema)
    if (constant === undefined) return this.#use(inPublic)
    this.#used.add('pgSchema')
    return `${constant}.${inSchema}`
  }

  /** The name of a constant; outside public it has the schema at its end when the plain name is taken. */
  #give({ schema, name }: QualifiedName, kind: string): string {
    const place = schema === 'public' ? kind : `In${camelCase(schema).replace(/^./, (letter) => letter.toUpperCase())}`
    return this.#names.give(camelCase(name), place)
  }

  #leaveOut(object: string, reason: string): void {
    this.#lines.push(`// In the migration alone: ${object}`)
    this.#note(object, reason, true)
  }

  #note(object: string, reason: string, leftOut = false): void {
    this.#notes.push({ object, reason, leftOut, line: this.#lines.length })
  }
}

/** The columns' properties, none twice. */
function properties(columns: readonly PulledColumn[]): (column: string) => string {
  const names = new Map<string, string>()
  const taken = new Set<string>()
  for (const { name } of columns) {
    let property = camelCase(name)
    for (let number = 2; taken.has(property); number += 1) property = `${camelCase(name)}${number}`
    taken.add(property)
    names.set(name, property)
  }
  return (column) => names.get(column) ?? column
}

/** The TypeScript type of a value whose type Drizzle cannot declare; a domain has that of its base type. */
function dataOf(type: string): string {
  if (type === 'bytea') return 'Uint8Array'
  if (/^jsonb?$/.test(type)) return 'unknown'
  if (type === 'boolean') return 'boolean'
  return /^(?:smallint|integer|real|double precision|oid)$/.test(type) ? 'number' : 'string'
}

/** The sequences that identities and serial columns stand for. */
function ownSequences(tables: readonly PulledTable[]): ReadonlySet<string> {
  const columns = tables.flatMap((table) => table.columns)
  return new Set(
    columns.flatMap((column) =>
      column.sequence && (column.identity !== null || isSerial(column)) ? [keyOf(column.sequence)] : [],
    ),
  )
}

function keyOf({ schema, name }: QualifiedName): string {
  return JSON.stringify([schema, name])
}

function shown({ schema, name }: QualifiedName): string {
  return `${shownName(schema)}.${shownName(name)}`
}
