/**
 * Names with a quote in them. drizzle-kit writes them without escaping, which is not SQL, so they stay out of a schema.
 */
import type { QualifiedName, PulledSchema } from './pulled-schema.ts'
import { shownName } from '../../values/quoting.ts'

/** What stays out, and why. */
export interface Undeclarable {
  readonly object: string
  readonly reason: string
}

const unescaped = 'which drizzle-kit does not escape'

/** The reason why an object with these names cannot be declared; undefined when it can. */
export function quoteIn(...names: readonly string[]): string | undefined {
  return names.some((name) => name.includes('"')) ? `a name with a quote, ${unescaped}` : undefined
}

function own({ schema, name }: QualifiedName): string | undefined {
  return quoteIn(schema, name)
}

/** The pulled schema without objects of such names or in schemas of such names, and without tables with such columns. */
export function withoutQuotedNames(pulled: PulledSchema): {
  readonly pulled: PulledSchema
  readonly left: readonly Undeclarable[]
} {
  const left: Undeclarable[] = []
  const declarable = <T extends QualifiedName>(kind: string, list: readonly T[], why: (one: T) => string | undefined) =>
    list.filter((one) => {
      const reason = why(one)
      if (reason !== undefined) left.push({ object: `${kind} ${shownName(one.schema)}.${shownName(one.name)}`, reason })
      return reason === undefined
    })
  return {
    pulled: {
      enums: declarable('enum', pulled.enums, own),
      sequences: declarable('sequence', pulled.sequences, own),
      tables: declarable('table', pulled.tables, (table) => {
        const column = table.columns.find(({ name }) => quoteIn(name))
        const of = column && `a quote in the name of its column ${shownName(column.name)}, ${unescaped}`
        return own(table) ?? of
      }),
      // A view is declared as existing, so drizzle-kit writes its schema and nothing else of it.
      views: declarable('view', pulled.views, ({ schema }) => quoteIn(schema)),
    },
    left,
  }
}
