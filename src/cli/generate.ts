/** `rivulet generate`: drizzle-kit writes a migration, which is then linted and tried in a scratch database. */
import { relative } from 'node:path'
import { UsageError } from '../errors.ts'
import { readMigrations } from '../migrate/files/folder.ts'
import { lint } from '../migrate/lint/lint.ts'
import type { Trial } from '../migrate/schema/trial.ts'
import { textOption } from './arguments.ts'
import { type Command, commonHelp, exitCodes, type OptionValues } from './command.ts'
import { type Answers, runGenerate } from './drizzle-kit.ts'
import { findingsText } from './lint.ts'
import { trialFinding, tryOnScratchServer } from './try-on-scratch.ts'

export const generateCommand: Command = {
  name: 'generate',
  summary: 'write a migration from the changes of the schema, with drizzle-kit',
  help: `Usage: rivulet generate [options]

Runs the project's drizzle-kit generate, lints the new file, and tries it in a scratch database, after the migrations
before it. The scratch database is made on the server of the database URL if its role may create one (CREATEDB),
otherwise on a temporary embedded server.
When drizzle-kit cannot tell a rename from a new table or column, it asks. Without a terminal, answer with --rename or
--created.

Options:
      --name NAME         the end of the file's name. Default: a name of drizzle-kit's
      --custom            write an empty file for SQL of your own
      --rename OLD:NEW    a table or a column (TABLE.OLD:NEW) was renamed; may be repeated
      --created           everything else drizzle-kit asks about is new; the old one is dropped
      --scratch URL       the server on which to make the scratch database
      --no-try            do not try the new file
${commonHelp}

Exit codes: 0 written, or nothing to write (findings of lint are printed and make \`rivulet lint\` fail; so is the
reason why a file could not be tried), 1 drizzle-kit failed, or the file was written and cannot run, 3 the migrations
folder is broken or its snapshots collide, 64 a question of drizzle-kit has no answer

Examples:
  rivulet generate --name add_prices
  rivulet generate --rename customers.nmae:name
  rivulet generate --custom --name fill_prices`,
  options: {
    name: { type: 'string' },
    custom: { type: 'boolean' },
    rename: { type: 'string', multiple: true },
    created: { type: 'boolean' },
    scratch: { type: 'string' },
    'no-try': { type: 'boolean' },
  },
  run: async ({ values, console, signal, project }) => {
    const found = await project()
    const name = textOption(values, 'name')
    if (name !== undefined && !/^[\w-]+$/.test(name)) {
      throw new UsageError('--name takes only letters, digits, - and _, because it becomes part of a file name')
    }
    const given = answersFrom(values)
    const args = [`--config=${relative(found.directory, found.configPath)}`]
    if (name !== undefined) args.push(`--name=${name}`)
    if (values.custom === true) args.push('--custom')
    const { folder } = found.source
    const unanswered = given.renames.size === 0 && !given.created
    const answers = console.interactive && unanswered && values.json !== true ? 'terminal' : given
    const written = await runGenerate({ project: found, folder, args, answers, signal })
    if (written.length === 0) {
      return { exitCode: exitCodes.done, text: 'The schema has not changed: nothing to generate.', json: { files: [] } }
    }
    const names = new Set(written.map((migration) => migration.name))
    const sources = (await readMigrations(folder)).map((migration) => ({
      file: relative('', migration.path),
      text: migration.text,
      report: names.has(migration.name),
    }))
    const files = written.map(({ path }) => relative('', path))
    const list = files.join(', ')
    if (values.custom === true) {
      const text = `Wrote ${list}, which is empty. Write its SQL, then run: rivulet migrate`
      return { exitCode: exitCodes.done, text, json: { files, findings: [] } }
    }
    const trial: Trial =
      values['no-try'] === true
        ? { outcome: 'untried', reason: '--no-try' }
        : await tryOnScratchServer(found, [...names], textOption(values, 'scratch'), signal)
    const failure = trialFinding(trial, (name) =>
      relative('', written.find((file) => file.name === name)?.path ?? name),
    )
    const findings = [...(failure ? [failure] : []), ...(await lint(sources))]
    if (findings.length > 0) console.note(findingsText(findings, console))
    if (trial.outcome === 'untried') console.note(console.style('yellow', `not tried: ${trial.reason}`))
    const exitCode = failure ? exitCodes.failed : exitCodes.done
    return { exitCode, text: `Wrote ${list}${endings[trial.outcome]}`, json: { files, findings, trial } }
  },
}

const endings = {
  runs: ', which runs in a scratch database. Read it, then run: rivulet migrate',
  fails: ', which cannot run. Correct it, then run: rivulet lint --try',
  untried: '. Read it, then run: rivulet migrate',
}

function answersFrom(values: OptionValues): Answers {
  const renames = [values.rename ?? []].flat().map((rename) => {
    const [, from, to] = /^([^:]+):([^:]+)$/.exec(String(rename)) ?? []
    if (from === undefined || to === undefined) throw new UsageError(`--rename takes OLD:NEW, not ${String(rename)}`)
    return [from, to] as const
  })
  return { renames: new Map(renames), created: values.created === true }
}
