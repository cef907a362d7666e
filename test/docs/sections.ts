/**
 * The sections of the pages in docs/ that are made from the code, by the name that stands in the page:
 * `<!-- generated: errors -->`. What they say is mended in the code.
 */
import { commands, help } from '../../src/cli/commands.ts'
import { poolRanges } from '../../src/config.ts'
import { explainedProblems } from '../../src/document/problem-types.ts'
import { healthRules } from '../../src/migrate/doctor/examine.ts'
import { limitRanges } from '../../src/migrate/doctor/limits.ts'
import { lintRules } from '../../src/migrate/lint/lint.ts'
import { classesOf, type DocumentedClass, type Member, membersOf, sourceText } from './doc-comments.ts'

/** Every section. */
export const sections: Readonly<Record<string, () => string>> = {
  ailments,
  calls,
  commands: commandsSection,
  config: () => list(membersOf('src/config.ts', 'Config')),
  errors,
  limits,
  observations,
  pool,
  problems,
  rules,
  stats: () => list(membersOf('src/pool/pool-stats.ts', 'PoolStats')),
}

function list(members: readonly Member[]): string {
  return members.map(({ name, text }) => item(`\`${name}\`${text === '' ? '' : `: ${text}`}`)).join('\n')
}

/** The settings of the pool, their ranges and defaults as the code checks them. */
function pool(): string {
  return membersOf('src/config.ts', 'PoolConfig')
    .map(({ name, text }) => {
      const [fallback, least, most] = poolRanges[name as keyof typeof poolRanges]
      // What the comment says of range and default at its end, the code says better.
      const [, said, given, zero] =
        /^(.*?) (?:[\d,]+ to [\d,]+; )?[Dd]efault ([\d,]+)(?:; (0: [^.]+))?\.$/.exec(text) ?? []
      if (given !== undefined && given !== number(fallback)) throw new Error(`the comment of pool.${name} is wrong`)
      const range = `${number(least)} to ${number(most)}, default ${number(fallback)}${zero === undefined ? '' : `; ${zero}`}`
      return item(`\`pool.${name}\` (${range}): ${said ?? text}`)
    })
    .join('\n')
}

function item(text: string): string {
  return wrapped(`- ${text}`, '  ')
}

/** The text in lines as long as those of the pages; what stands in backticks is not broken. */
function wrapped(text: string, indent = ''): string {
  const lines: string[] = []
  for (const word of text.match(/(?:`[^`]*`|[^\s`])+/g) ?? []) {
    const line = `${lines.at(-1) ?? ''} ${word}`
    if (lines.length > 0 && line.length <= 120) lines[lines.length - 1] = line
    else lines.push(lines.length === 0 ? word : `${indent}${word}`)
  }
  return lines.join('\n')
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}

/** What each call takes besides what every call takes. */
function calls(): string {
  const groups = [
    ['Every call', 'src/task/scope.ts', 'TaskOptions'],
    ['`transaction`', 'src/session/transaction.ts', 'TransactionSettings'],
    ['', 'src/task/retry.ts', 'RetryOptions'],
    ['`gather` and `gatherSettled`', 'src/gather/gather.ts', 'GatherOptions'],
    ['`map`', 'src/gather/map.ts', 'MapOptions'],
    ['`close`', 'src/engine.ts', 'CloseOptions'],
  ] as const
  return groups
    .map(([title, path, name]) => `${title === '' ? '' : `\n${title}:\n\n`}${list(membersOf(path, name))}`)
    .join('\n')
    .trim()
}

function errors(): string {
  const all = classesOf('src/errors.ts')
  const describe = (each: DocumentedClass) =>
    errorText(
      each,
      all.find(({ name }) => name === each.parent),
    )
  const groups = grouped(all.filter(({ name }) => name !== 'RivuletError'))
  return [...groups]
    .map(([group, members]) => `## ${titles[group] ?? capital(group)}\n\n${members.map(describe).join('\n\n')}`)
    .join('\n\n')
}

const titles: Readonly<Record<string, string>> = { '': 'Calls, rows and sessions' }

function grouped(classes: readonly DocumentedClass[]): Map<string, DocumentedClass[]> {
  const groups = new Map<string, DocumentedClass[]>()
  for (const each of classes) groups.set(each.group, [...(groups.get(each.group) ?? []), each])
  return groups
}

function errorText({ name, text, literals, properties }: DocumentedClass, parent: DocumentedClass | undefined): string {
  const own = properties.filter((property) => !['code', 'retryable'].includes(property.name))
  const names = own.map((property) => `\`${property.name}\``)
  const code = literals['code'] ?? parent?.literals['code']
  const lines = [
    `### ${name}`,
    '',
    wrapped(`\`${code}\`${literals['retryable'] === 'true' ? ', retryable' : ''}. ${text}`),
    ...(names.length === 0 ? [] : ['', `Properties: ${names.join(', ')}.`]),
    ...(parent === undefined || parent.name === 'RivuletError'
      ? []
      : ['', `Has the properties of \`${parent.name}\`.`]),
  ]
  return lines.join('\n')
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

/** The events: what each of them means, and what it holds. */
function observations(): string {
  const union = /^export type Observation =\n([^]*?)\n\n/m.exec(sourceText('src/observe/observation.ts'))?.[1] ?? ''
  const events = union.matchAll(/^ {2}\/\*\* ((?:(?!\*\/)[^])*?) \*\/\n {2}\| ((?:(?!^ {2}\/\*\*)[^])*)/gm)
  return Array.from(events, ([, text = '', event = '']) => {
    const type = /type: '([^']+)'/.exec(event)?.[1]
    const names = Array.from(event.matchAll(/readonly (\w+):/g), (match) => match[1] ?? '')
    const held = [...(event.includes('Labelled') ? ['label'] : []), ...names.filter((name) => name !== 'type')]
    return item(`\`${type}\`: ${text} ${held.length === 0 ? '' : `(${held.map((name) => `\`${name}\``).join(', ')})`}`)
  }).join('\n')
}

function commandsSection(): string {
  const parts = commands.map(
    ({ name, summary, help }) => `## ${name}\n\n${capital(summary)}.\n\n${block('text', help)}`,
  )
  return [block('text', help), ...parts].join('\n\n')
}

/** What each kind of problem means, as `/docs` says it. */
function problems(): string {
  return explainedProblems()
    .map(({ codes, statuses, meaning }) => {
      return item(`${codes.map((code) => `\`${code}\``).join(', ')} (${statuses.join(', ')}): ${meaning}`)
    })
    .join('\n')
}

function rules(): string {
  const parts = lintRules.map(({ name, why, instead, manual }) => {
    return `### ${name}\n\n${wrapped(`${capital(why)}.`)}\n\n${block('sql', instead)}\n\n[The manual](${manual})`
  })
  return [`## The ${lintRules.length} rules`, ...parts].join('\n\n')
}

/** The rules of the doctor. */
function ailments(): string {
  const parts = healthRules.map(({ name, why, mend, manual }) => {
    return `### ${name}\n\n${wrapped(`${capital(why)}.`)}\n\n${block('sql', mend)}\n\n[The manual](${manual})`
  })
  return [`## The ${healthRules.length} rules`, ...parts].join('\n\n')
}

/** From when on something ails; the code checks the ranges and has the defaults. */
function limits(): string {
  return membersOf('src/migrate/doctor/limits.ts', 'HealthLimits')
    .map(({ name, text }) => {
      const [fallback] = limitRanges[name as keyof typeof limitRanges]
      const given = / default ([\d,]+)\.$/.exec(text)?.[1]
      if (given !== number(fallback)) throw new Error(`the comment of the limit ${name} is wrong`)
      return item(`\`${name}\`: ${text}`)
    })
    .join('\n')
}

function block(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``
}
