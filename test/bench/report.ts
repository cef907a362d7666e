/** What benchmarks have found, in Markdown. */
import type { Benchmark, Goal, Outcome, Race } from './benchmark.ts'
import type { Spread } from './measure.ts'

export interface Finding {
  readonly benchmark: Benchmark
  readonly outcome: Outcome
}

/** One benchmark: its title, the contenders, the goals. */
export function describeOutcome({ benchmark, outcome }: Finding): string {
  const { name, title, limits } = benchmark
  const parts = [`## ${title}`, `\`npm run bench -- ${name}\`. ${limits}`]
  for (const race of outcome.races) {
    if (race.name !== undefined) parts.push(`### ${race.name.charAt(0).toUpperCase()}${race.name.slice(1)}`)
    parts.push(raceTable(race))
  }
  if (outcome.goals.length > 0) parts.push(goalTable(outcome.goals))
  return parts.join('\n\n')
}

/** The page of the documentation. */
export function page(place: string, findings: readonly Finding[]): string {
  const head = `# Benchmarks

What one run of \`npm run bench -- --save\` has found, and what was wanted.

- ${place}. Client and server share the cores.
- Each contender is a process of its own: in one process the optimisations that V8 makes for one are undone by the others.
- In every round each of them runs for half a second, in an order that turns. Figures are medians (the least to the most) of the
  rounds, ratios are taken within a round. CPU time is that of the process which does the work, without the database's.
- \`postgres.js\` sends statements behind each other on one connection, which saves system calls, and lets a slow one hold up
  those behind it. \`postgres.js, reserved\` gives each a connection of its own, as sessions do: keeping tasks apart costs no less.

![Rates of reads and pages](results.svg)`
  return `${[head, ...findings.map(describeOutcome)].join('\n\n')}\n`
}

function raceTable({ results }: Race): string {
  const names = results.slice(0, 1).map(({ name }) => `to ${name}`)
  const rows = results.map(({ name, how, perSecond, ratios, cpuUs }) => [
    name,
    spread(perSecond, count),
    ...ratios.map((ratio) => spread(ratio, times)),
    spread(cpuUs, micros),
    how,
  ])
  return table(['', 'a second', ...names, 'µs of CPU', 'how'], rows)
}

function goalTable(goals: readonly Goal[]): string {
  const rows = goals.map((goal) => [goal.what, wanted(goal), `${digits(goal.is)} ${goal.unit}`, isMet(goal)])
  return table(['', 'wanted', 'found', ''], rows)
}

/** True where nothing is wanted as well. */
export function reaches({ is, least = -Infinity, most = Infinity }: Goal): boolean {
  return is >= least && is <= most
}

function isMet(goal: Goal): string {
  if (goal.least === undefined && goal.most === undefined) return ''
  return reaches(goal) ? 'yes' : 'no'
}

function wanted({ least, most, unit }: Goal): string {
  if (least !== undefined) return `${least} ${unit} or more`
  return most === undefined ? '' : `${most} ${unit} or less`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, 1, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

function spread({ median, least, most }: Spread, format: (value: number) => string): string {
  return `${format(median)} (${format(least)} to ${format(most)})`
}

const count = (value: number) => Math.round(value).toLocaleString('en')
const times = (value: number) => `${value.toFixed(2)} x`
const micros = (value: number) => (value < 10 ? value.toFixed(1) : count(value))
const digits = (value: number) => value.toFixed(2)
