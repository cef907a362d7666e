/** `rivulet status`: what is applied and what is not. */
import { migrationStatus, type StatusResult } from '../migrate/commands/status.ts'
import { type Command, commonHelp, exitCodes } from './command.ts'
import { type Console, duration, table } from './console.ts'
import { withDatabase } from './project.ts'

const exitCodeOf = {
  'up to date': exitCodes.done,
  pending: exitCodes.pending,
  inconsistent: exitCodes.inconsistent,
} as const

const colours = { applied: 'green', pending: 'yellow', changed: 'red', 'out of order': 'red', missing: 'red' } as const

export const statusCommand: Command = {
  name: 'status',
  summary: 'show which migrations are applied, pending, changed, missing or out of order',
  help: `Usage: rivulet status [options]

Only reads: it does not even create the ledger.

Options:
${commonHelp}

Exit codes: 0 up to date, 2 migrations are pending, 3 files and database contradict each other, 1 the state could
not be read

Examples:
  rivulet status
  rivulet status --json | jq -r '.migrations[] | select(.state == "pending") | .name'`,
  options: {},
  run: async ({ console, project }) => {
    const found = await project()
    const result = await withDatabase(found, (url) => migrationStatus(url, found.source))
    if (result.problem !== undefined) console.note(console.style('red', result.problem))
    for (const index of result.invalidIndexes) {
      const left = /_cc(?:new|old)\d*"?$/.test(index)
        ? `a REINDEX CONCURRENTLY was interrupted. Remove it with DROP INDEX CONCURRENTLY ${index}`
        : 'a CREATE INDEX CONCURRENTLY was interrupted'
      console.note(console.style('yellow', `the index ${index} is invalid: ${left}`))
    }
    return { exitCode: exitCodeOf[result.state], text: statusText(result, console), json: { ...result } }
  },
}

function statusText({ state, migrations }: StatusResult, console: Console): string {
  if (migrations.length === 0) return 'There are no migrations yet.'
  const rows = migrations.map((migration) => [
    migration.state,
    migration.name,
    migration.statementsDone === undefined
      ? (migration.appliedAt?.toISOString().replace(/\.\d+Z/, 'Z') ?? '')
      : `partly applied: interrupted after statement ${migration.statementsDone}; migrate resumes there`,
    duration(migration.durationMs),
  ])
  const lines = table(rows)
    .split('\n')
    .map((line, index) => {
      const colour = colours[migrations[index]?.state ?? 'applied']
      const width = migrations[index]?.state.length ?? 0
      return console.styleResult(colour, line.slice(0, width)) + line.slice(width)
    })
  const pending = migrations.filter((migration) => migration.state === 'pending').length
  const summary = { 'up to date': 'Up to date.', pending: `${pending} pending.`, inconsistent: 'Inconsistent.' }[state]
  return [...lines, '', summary].join('\n')
}
