/** `rivulet verify`: compares the schema in code, the migrations and the live database. */
import { MigrationRefused } from '../errors.ts'
import type { CodeComparison } from '../migrate/schema/code-comparison.ts'
import type { Trial } from '../migrate/schema/trial.ts'
import { verifyCode, verifyDatabase } from '../migrate/commands/verify.ts'
import { textOption } from './arguments.ts'
import { type CodeAnswer, comparable, readCode } from './code.ts'
import { type Command, commonHelp, exitCodes, type CommandResult, type Run } from './command.ts'
import { codeText, databaseText } from './comparison.ts'
import { globPattern } from './glob.ts'
import { count } from './migrate.ts'
import { type Project, withDatabase } from './project.ts'
import { withScratchServer } from './scratch-server.ts'

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'compare the schema in code, the migrations and the live database',
  help: `Usage: rivulet verify [options]

Three comparisons are made:
  the code with drizzle-kit's snapshots: drizzle-kit must find nothing to generate (not in the layout of drizzle-kit
    1.0, whose snapshots the drizzle-kit that Rivulet runs does not read);
  the code with the migrations: all migrations, pending ones included, are replayed into a scratch database and must
    make everything that the code declares. What they make beyond that, in SQL written by hand, is listed and is not
    drift;
  the live database with the applied migrations: it must be what they make in the scratch database.
The scratch database is dropped afterwards; the live one is only read. Pending migrations are tried.

Compared are schemas; tables with partitions, storage parameters, replica identity, CLUSTER ON and row level security;
columns with type, collation, NOT NULL, default, identity, generation, storage, compression, statistics target and
options; constraints, indexes, enums, domains, composite types, ranges, sequences, views, functions, aggregates, triggers,
policies, rules and extended statistics. Code and migrations are compared in what a Drizzle schema can declare of these;
names that PostgreSQL makes up (of primary keys, of the sequences of serial columns) may differ. The live database is
compared in public and the schemas that the migrations make or fill, or in those of schemaFilter in the Drizzle config;
tablesFilter applies too.

Not compared: owners, grants, roles and their rights, comments, the order of columns, the dimensions of arrays, names of
NOT NULL constraints, tablespaces, whether a materialized view is filled, the rows; publications, subscriptions, event
triggers, base types, operators and their classes, access methods, casts, collations, conversions, languages, transforms,
text search objects, foreign servers and user mappings, security labels, settings of the database; versions of
extensions, and everything that belongs to an extension.

Options:
      --scratch URL       the server on which to make the scratch database. Default: the live one
      --code-only         do not use the live database: compare the code with snapshots and migrations only. The
                          scratch database is made on the server of the database URL if its role may create one,
                          otherwise on a temporary embedded server
${commonHelp}

Exit codes: 0 all the same, 1 they differ, 2 all the same but migrations are pending, 3 files and ledger contradict
each other

Examples:
  rivulet verify
  rivulet verify --code-only       # in CI, where there is no live database`,
  options: { scratch: { type: 'string' }, 'code-only': { type: 'boolean' } },
  run: async (run) => {
    const found = await run.project()
    const code = await readCode(found, run.signal)
    return run.values['code-only'] === true ? verifyCodeOnly(run, found, code) : verifyAll(run, found, code)
  },
}

async function verifyAll({ values, console, signal }: Run, project: Project, code: CodeAnswer): Promise<CommandResult> {
  const scratchUrl = textOption(values, 'scratch')
  const result = await withDatabase(project, (url) =>
    verifyDatabase(url, { ...project.source, ...filters(project), scratchUrl, code: comparable(code), signal }),
  )
  const { differences, pending, pendingTrial, code: compared } = result
  const notCompared = 'the pending migrations could not all be run (see below)'
  const text = [
    codeText(code, compared ?? { notCompared }, console),
    databaseText(differences, code, console),
    pending.length > 0 ? `${count(pending.length)} pending, which the live database lacks: ${pending.join(', ')}.` : '',
    trialText(pendingTrial),
  ]
  const drift = differs(code) || differs(compared) || differences.length > 0 || pendingTrial.outcome === 'fails'
  const exitCode = drift ? exitCodes.failed : pending.length === 0 ? exitCodes.done : exitCodes.pending
  const json = { ...codeJson(code, compared), differences, pending, pendingTrial }
  return { exitCode, text: text.filter(Boolean).join('\n'), json }
}

async function verifyCodeOnly(
  { values, console, signal }: Run,
  project: Project,
  code: CodeAnswer,
): Promise<CommandResult> {
  const sql = comparable(code)
  const compared = sql === undefined ? { notCompared: 'drizzle-kit needs an answer first' } : await compareOnly()
  const known = 'notCompared' in compared ? undefined : compared
  const exitCode = differs(code) || differs(known) ? exitCodes.failed : exitCodes.done
  const notCompared = 'notCompared' in compared ? compared.notCompared : undefined
  return { exitCode, text: codeText(code, compared, console), json: { ...codeJson(code, known), notCompared } }

  async function compareOnly() {
    const served = await withScratchServer(
      project,
      textOption(values, 'scratch'),
      signal,
      async ({ url, throwAway, standIn }) => {
        try {
          return await verifyCode(url, { ...project.source, code: sql!, throwAway, signal })
        } catch (error) {
          if (!(error instanceof MigrationRefused) || error.reason !== 'unsafe') throw error
          return { error, standIn }
        }
      },
      (answer) => 'error' in answer,
    )
    if ('unserved' in served) return { notCompared: served.unserved }
    const { answer } = served
    if (!('error' in answer)) return answer
    if (!answer.standIn) throw answer.error
    return { notCompared: `on the temporary server used instead of that of the database URL, ${answer.error.message}` }
  }
}

function trialText(trial: Trial): string {
  if (trial.outcome === 'runs') return ''
  if (trial.outcome === 'untried')
    return `They could not all be tried: ${trial.reason}. Apply them, then run this again.`
  const where = `${trial.file}${trial.line === undefined ? '' : ` (line ${trial.line})`}`
  return `${where} is pending and cannot be applied: ${trial.reason}\nCorrect the file, then run: rivulet lint --try`
}

function differs(found: CodeAnswer | CodeComparison | undefined): boolean {
  if (found === undefined) return false
  return 'whole' in found
    ? found.ungenerated !== '' || found.question !== undefined
    : found.differences.length > 0 || found.refused.length > 0
}

function codeJson({ ungenerated, question }: CodeAnswer, compared: CodeComparison | undefined) {
  const code = question === undefined ? ungenerated || null : `-- ${question}`
  return { code, declared: compared ?? null }
}

/** The filters of the Drizzle config, as verify takes them. */
export function filters({ filters: { schemas, tables } }: Project) {
  return {
    schemas: schemas.length === 0 ? undefined : schemas,
    keepsTable: (table: string) => matches(tables, table),
  }
}

/**
 * As drizzle-kit filters: a name matches if one of the patterns matches (if there are any), and none of those after a
 * !.
 */
export function matches(patterns: readonly string[], name: string): boolean {
  const wanted = patterns.filter((pattern) => !pattern.startsWith('!'))
  const unwanted = patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => pattern.slice(1))
  const some = (list: readonly string[]) => list.some((pattern) => globPattern(pattern).test(name))
  return (wanted.length === 0 || some(wanted)) && !some(unwanted)
}
