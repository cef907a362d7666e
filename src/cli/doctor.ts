/** `rivulet doctor`: says what ails a database in use, and how it is mended. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigInvalid, UsageError } from '../errors.ts'
import { type Examination, examineDatabase, type HealthFinding, healthRules } from '../migrate/doctor/examine.ts'
import { type AcceptedFinding, readAccepted } from '../migrate/doctor/ignored-findings.ts'
import { limitRanges, type HealthLimits } from '../migrate/doctor/limits.ts'
import { groupedBy } from '../migrate/doctor/grouped-by.ts'
import { type Command, commonHelp, exitCodes, type OptionValues } from './command.ts'
import type { Console } from './console.ts'
import { type Project, withDatabase } from './project.ts'

const limitLines = Object.entries(limitRanges)
  .map(([name, [fallback]]) => `                            ${name.padEnd(20)}${fallback}`)
  .join('\n')

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'say what ails the database, with the SQL that mends it',
  help: `Usage: rivulet doctor [options]

Looks at the database in use, by its catalogs and statistics: indexes that are missing, unused, needless or invalid, tables
without a key, sequences near their end, bloat, and what keeps VACUUM from its work. It only reads, takes no lock on a
table, and says what its role may not see. Where DATABASE_URL names the database, there need be no Drizzle config.
To accept a finding, give the reason, here or in package.json: "rivulet": { "doctor": { "ignore": ["RULE OBJECT: REASON"] } }.
The object is the one of the finding, or its table; without it, the rule is ignored everywhere.

Options:
      --rule NAME         look by this rule only; may be repeated
      --rules             list the rules
      --in SCHEMA         look in this schema only; may be repeated. Default: all
      --ignore TEXT       accept a finding: 'RULE: REASON' or 'RULE OBJECT: REASON'; may be repeated
      --limit NAME=NUMBER from when on something ails; may be repeated. The limits and their defaults:
${limitLines}
      --timeout MS        how long a rule may look. Default 30000
${commonHelp}

Exit codes: 0 nothing found, 1 findings, or a rule could not look, or the server cannot be reached, 64 wrong arguments

Examples:
  rivulet doctor
  rivulet doctor --rule unused-index --limit unusedDays=30
  rivulet doctor --ignore 'table-without-key public.imported_rows: emptied every night'`,
  options: {
    rule: { type: 'string', multiple: true },
    rules: { type: 'boolean' },
    in: { type: 'string', multiple: true },
    ignore: { type: 'string', multiple: true },
    limit: { type: 'string', multiple: true },
    timeout: { type: 'string' },
  },
  needsDatabaseOnly: true,
  run: async ({ values, console, signal, project }) => {
    if (values.rules === true) {
      const text = healthRules.map(({ name, why }) => `${console.styleResult('bold', name)}\n  ${why}`).join('\n')
      const rules = healthRules.map(({ name, why, mend, manual }) => ({ name, why, mend, manual }))
      return { exitCode: exitCodes.done, text, json: { rules } }
    }
    const given = texts(values, 'ignore').map(readAccepted)
    const limits = limitsGiven(texts(values, 'limit'))
    const timeoutMs = timeoutGiven(values)
    const found = await project()
    const ignore = [...given, ...(await configuredIgnores(found))]
    const options = {
      rules: several(values, 'rule'),
      schemas: several(values, 'in'),
      ignore,
      limits,
      timeoutMs,
      signal,
    }
    const result = await withDatabase(found, (url) => examineDatabase(url, options))
    const isWell = result.findings.length === 0 && result.failed.length === 0
    return {
      exitCode: isWell ? exitCodes.done : exitCodes.failed,
      text: examinationText(result, console),
      json: { ...result },
    }
  },
}

/** The result for people; why a rule matters stands only where it is met first. */
function examinationText(result: Examination, console: Console): string {
  const { findings, ignored, needlessIgnores, unseen, failed } = result
  const blocks = [...groupedBy(findings, ({ rule }) => rule)].map(([rule, ofRule]) => {
    const [{ why, manual } = { why: '', manual: '' }] = ofRule
    return [
      `${console.styleResult('yellow', rule)}: ${why}.`,
      `  ${console.styleResult('dim', manual)}`,
      ...ofRule.map((finding) => findingText(finding)),
    ].join('\n')
  })
  const unseenOnce = [...new Set(unseen.map(({ what }) => what))]
  const notes = [
    ...failed.map(({ rule, reason }) => console.styleResult('red', `Could not look by ${rule}: ${reason}`)),
    ...unseenOnce.map((what) => `Not seen: ${what}.`),
    ...needlessIgnores.map(({ rule, object }) => {
      return `Nothing to ignore any more: ${rule}${object === undefined ? '' : ` ${object}`}.`
    }),
  ]
  const nothing = failed.length > 0 ? 'Nothing found by the rules that could look' : 'Nothing found'
  const head = findings.length === 0 ? nothing : `${findings.length} finding${findings.length === 1 ? '' : 's'}`
  const count = `${head}${ignored.length === 0 ? '' : `, ${ignored.length} ignored`}.`
  return [...blocks, ...(notes.length > 0 ? [notes.join('\n')] : []), count].join('\n\n')
}

function findingText({ message, sql }: HealthFinding): string {
  return `  ${message}\n${sql.replaceAll(/^/gm, '    ')}`
}

function several(values: OptionValues, name: string): readonly string[] | undefined {
  const given = texts(values, name)
  return given.length === 0 ? undefined : given
}

function texts(values: OptionValues, name: string): readonly string[] {
  return [values[name] ?? []].flat().map(String)
}

function limitsGiven(given: readonly string[]): Partial<HealthLimits> {
  const entries = given.map((text) => {
    const [, name = '', value = ''] = /^(\w+)=(\d+(?:\.\d+)?)$/.exec(text) ?? []
    if (Object.hasOwn(limitRanges, name)) return [name, Number(value)]
    throw new UsageError(`--limit takes NAME=NUMBER, not ${text}; the names are ${Object.keys(limitRanges).join(', ')}`)
  })
  return Object.fromEntries(entries) as Partial<HealthLimits>
}

function timeoutGiven({ timeout }: OptionValues): number | undefined {
  if (timeout === undefined) return undefined
  if (typeof timeout === 'string' && /^\d{1,10}$/.test(timeout)) return Number(timeout)
  throw new UsageError(`--timeout takes a whole number of milliseconds, not ${String(timeout)}`)
}

/** What package.json says is accepted. @throws ConfigInvalid for what is no list of texts */
async function configuredIgnores({ directory }: Project): Promise<readonly AcceptedFinding[]> {
  const text = await readFile(join(directory, 'package.json'), 'utf8').catch(() => '{}')
  const { rivulet } = JSON.parse(text) as { rivulet?: { doctor?: { ignore?: unknown } } }
  const list = rivulet?.doctor?.ignore ?? []
  if (Array.isArray(list) && list.every((each) => typeof each === 'string')) return list.map(readAccepted)
  throw new ConfigInvalid('rivulet.doctor.ignore in package.json must be a list of texts: ["RULE OBJECT: REASON"]')
}
