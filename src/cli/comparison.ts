/** The result of `verify` as text: what differs, object by object, and the SQL that would correct it. */
import type { CodeComparison } from '../migrate/schema/code-comparison.ts'
import type { Difference } from '../migrate/schema/describe.ts'
import type { CodeAnswer } from './code.ts'
import type { Console } from './console.ts'
import { remedy } from './remedy.ts'

/** The comparison of the schema in code with drizzle-kit's snapshots, and with what the migrations make. */
export function codeText(
  { ungenerated, question, snapshots }: CodeAnswer,
  compared: CodeComparison | { readonly notCompared: string },
  console: Console,
): string {
  const parts: string[] = []
  if (question !== undefined) {
    parts.push(
      console.styleResult('red', 'The schema in code differs from the migrations, and drizzle-kit asks:'),
      `  ${question}`,
      'Answer with `rivulet generate --rename OLD:NEW` or `rivulet generate --created`. Until then the code is not compared further.',
    )
  } else if (ungenerated !== '') {
    const head = 'The schema in code differs from the migrations; `rivulet generate` would write:'
    parts.push(
      console.styleResult('red', head),
      indented(ungenerated.replaceAll('--> statement-breakpoint', '').trim()),
    )
  }
  if ('notCompared' in compared) {
    if (parts.length === 0 && snapshots) parts.push("The schema in code and drizzle-kit's snapshots agree.")
    if (!snapshots) parts.push(withoutSnapshots)
    if (question === undefined)
      parts.push(`The code was not compared with what the SQL of the migrations makes: ${compared.notCompared}`)
    return parts.join('\n')
  }
  parts.push(...missingText(compared.differences, snapshots, console), ...refusedText(compared, console))
  if (parts.length === 0) parts.push('The schema in code and the migrations agree.')
  if (!snapshots) parts.push(withoutSnapshots)
  return [...parts, ...beyondText(compared.migrationsOnly, console)].join('\n')
}

const withoutSnapshots =
  'The snapshots of drizzle-kit 1.0 were not compared: drizzle-kit 1.0 compares the code with them itself.'

/** The command that starts a migration of one's own. */
function customCommand(snapshots: boolean): string {
  return snapshots ? 'rivulet generate --custom' : 'drizzle-kit generate --custom'
}

/** The comparison of the migrations with the live database. */
export function databaseText(
  differences: readonly Difference[],
  { snapshots }: Pick<CodeAnswer, 'snapshots'>,
  console: Console,
): string {
  if (differences.length === 0) return 'The live database matches the migrations.'
  const head = 'The live database differs from the migrations (- as the migrations make it, + as it is):'
  return [
    console.styleResult('red', head),
    ...listed(differences, console),
    `Change the database back, or write its state into a migration: ${customCommand(snapshots)}`,
  ].join('\n')
}

function missingText(differences: readonly Difference[], snapshots: boolean, console: Console): readonly string[] {
  if (differences.length === 0) return []
  const head =
    'The schema in code declares what the migrations do not make (- as declared, + as the migrations make it):'
  const remedies = differences.map(remedy).filter((sql) => sql !== undefined)
  return [
    console.styleResult('red', head),
    ...listed(differences, console),
    `${snapshots ? '`rivulet generate` does not see this: drizzle-kit' : '`drizzle-kit generate` may not see this: it'} ` +
      'compares the code with its snapshots, never with the SQL. Change the code, or write SQL of your own with ' +
      `${customCommand(snapshots)}${remedies.length > 0 ? ', such as:' : '.'}`,
    ...remedies.map(indented),
  ]
}

function refusedText({ refused }: CodeComparison, console: Console): readonly string[] {
  const told = (list: typeof refused, head: string, next: string) =>
    list.length === 0
      ? []
      : [
          console.styleResult('red', head),
          ...list.flatMap(({ statement, reason }) => [indented(shortened(statement)), indented(indented(reason))]),
          next,
        ]
  return [
    ...told(
      refused.filter(({ ungenerated }) => ungenerated),
      'PostgreSQL refuses what `rivulet generate` would write:',
      'Generate the file, then correct it; `rivulet lint --try` shows whether it runs.',
    ),
    ...told(
      refused.filter(({ ungenerated }) => !ungenerated),
      'PostgreSQL refuses what drizzle-kit writes for the schema in code; what these statements would make was not compared:',
      'Correct the schema in code, then run: rivulet verify',
    ),
  ]
}

const mostShown = 12

function beyondText(more: readonly Difference[], console: Console): readonly string[] {
  if (more.length === 0) return []
  const lines = more.map(({ object, expected, actual }) =>
    expected === undefined
      ? `${object}${shown(firstLine(actual ?? ''))}`
      : `${object}, which the code calls ${expected.split(' ')[1]}`,
  )
  const rest = lines.length - mostShown
  return [
    'Only in the migrations, which is not drift:',
    ...lines.slice(0, mostShown).map((line) => console.styleResult('dim', indented(line))),
    ...(rest > 0 ? [`  … and ${rest} more; --json lists them all`] : []),
  ]
}

function listed(differences: readonly Difference[], console: Console): readonly string[] {
  return differences.flatMap(({ object, expected, actual }) => [
    ...(expected === undefined ? [] : [console.styleResult('red', indented(`- ${object}${shown(expected)}`))]),
    ...(actual === undefined ? [] : [console.styleResult('green', indented(`+ ${object}${shown(actual)}`))]),
  ])
}

function shown(definition: string | undefined): string {
  return definition ? `: ${definition.trim()}` : ''
}

function firstLine(text: string): string {
  return shortened(text.trim().split('\n')[0] ?? '')
}

function shortened(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)} …` : text
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}
