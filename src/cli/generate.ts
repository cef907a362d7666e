/** `rivulet generate`: drizzle-kit writes a migration, then it is linted. */
import { relative } from 'node:path'
import { UsageError } from '../errors.ts'
import { readMigrations } from '../migrate/folder.ts'
import { lint } from '../migrate/lint/lint.ts'
import { textOption } from './arguments.ts'
import { type Command, commonHelp, exitCodes, type OptionValues } from './command.ts'
import { type Answers, runGenerate } from './drizzle-kit.ts'
import { findingsText } from './lint.ts'

export const generate: Command = {
  name: 'generate',
  summary: 'write a migration from the changes of the schema, with drizzle-kit',
  help: `Usage: rivulet generate [options]

Runs the project's drizzle-kit generate and lints what it wrote. When drizzle-kit cannot tell a rename from a new column
it asks; where there is no terminal, or to be sure, answer beforehand:

Options:
      --name NAME         the end of the file's name. Default: drizzle-kit makes one up
      --custom            an empty file, for SQL of your own
      --rename OLD:NEW    a table or a column (TABLE.OLD:NEW) was renamed; may be given several times
      --created           whatever drizzle-kit asks about is new, and the old one is dropped
${commonHelp}

Exit codes: 0 written, or nothing to write (what lint finds is printed, and makes \`rivulet lint\` fail), 1 drizzle-kit
failed, 3 the migrations folder is broken or its snapshots collide, 64 a question of drizzle-kit has no answer

Examples:
  rivulet generate --name add_prices
  rivulet generate --rename customers.nmae:name
  rivulet generate --custom --name fill_prices`,
  options: {
    name: { type: 'string' },
    custom: { type: 'boolean' },
    rename: { type: 'string', multiple: true },
    created: { type: 'boolean' },
  },
  run: async ({ values, console, signal, project }) => {
    const found = await project()
    const name = textOption(values, 'name')
    if (name !== undefined && !/^[\w-]+$/.test(name)) {
      throw new UsageError('--name may hold letters, digits, - and _: it becomes part of a file name')
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
    // A custom file has yet to be written.
    const findings = values.custom === true ? [] : await lint(sources)
    if (findings.length > 0) console.note(findingsText(findings, console))
    const files = written.map(({ path }) => relative('', path))
    const next = values.custom === true ? 'Write it, then' : 'Read it, then'
    const text = `Wrote ${files.join(', ')}. ${next}: rivulet migrate`
    return { exitCode: exitCodes.done, text, json: { files, findings } }
  },
}

function answersFrom(values: OptionValues): Answers {
  const renames = [values.rename ?? []].flat().map((rename) => {
    const [, from, to] = /^([^:]+):([^:]+)$/.exec(String(rename)) ?? []
    if (from === undefined || to === undefined) throw new UsageError(`--rename takes OLD:NEW, not ${String(rename)}`)
    return [from, to] as const
  })
  return { renames: new Map(renames), created: values.created === true }
}
