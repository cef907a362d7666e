/**
 * What an earlier run has found, kept beside this file. Only CPU times are compared, as multiples of the yardstick's in the
 * same run: that is what changes least from machine to machine.
 */
import { readFile, writeFile } from 'node:fs/promises'
import type { Race } from './benchmark.ts'
import { type Finding, reaches } from './report.ts'

export interface Base {
  readonly place: string
  /** CPU time to that of the yardstick, by benchmark, race and contender. */
  readonly cpu: Readonly<Record<string, number>>
  /** The goals that were reached. */
  readonly reached: readonly string[]
}

const file = 'test/bench/base.json'
/** Less than that is noise. */
const notable = 0.1

export function baseOf(place: string, findings: readonly Finding[]): Base {
  return { place, cpu: Object.fromEntries(costs(findings)), reached: [...reached(findings)] }
}

export function saveBase(base: Base): Promise<void> {
  return writeFile(file, `${JSON.stringify(base, undefined, 2)}\n`)
}

export async function readBase(): Promise<Base> {
  return JSON.parse(await readFile(file, 'utf8')) as Base
}

/** Says what has moved since, the worst first. */
export function describeChanges(base: Base, findings: readonly Finding[]): string {
  const moved = costs(findings).flatMap(([name, cost]) => {
    const before = base.cpu[name]
    return before === undefined || Math.abs(cost / before - 1) < notable ? [] : [{ name, cost, before }]
  })
  moved.sort((a, b) => b.cost / b.before - a.cost / a.before)
  const lines = moved.map(({ name, cost, before }) => {
    const percent = Math.round((cost / before - 1) * 100)
    return `${percent > 0 ? '+' : ''}${percent} %  ${name}: ${before.toFixed(2)} x then, ${cost.toFixed(2)} x now`
  })
  const now = reached(findings)
  const asked = new Set(
    findings.flatMap(({ benchmark, outcome }) => outcome.goals.map(({ what }) => `${benchmark.name}: ${what}`)),
  )
  for (const goal of base.reached) if (asked.has(goal) && !now.has(goal)) lines.push(`no longer reached  ${goal}`)
  const head = `Against ${base.place}, CPU time as a multiple of the yardstick's:`
  return [head, ...(lines.length > 0 ? lines : ['nothing has moved by more than 10 %'])].join('\n  ')
}

function costs(findings: readonly Finding[]): [name: string, cost: number][] {
  return findings.flatMap(({ benchmark, outcome }) => outcome.races.flatMap((race) => costsOf(race, benchmark.name)))
}

function costsOf({ name, results }: Race, benchmark: string): [name: string, cost: number][] {
  const [yardstick, ...others] = results
  if (!yardstick) return []
  const title = name === undefined ? benchmark : `${benchmark}, ${name}`
  return others.map(({ name: contender, cpuUs }) => [`${title}: ${contender}`, cpuUs.median / yardstick.cpuUs.median])
}

function reached(findings: readonly Finding[]): Set<string> {
  return new Set(
    findings.flatMap(({ benchmark, outcome }) =>
      outcome.goals.filter(reaches).map(({ what }) => `${benchmark.name}: ${what}`),
    ),
  )
}
