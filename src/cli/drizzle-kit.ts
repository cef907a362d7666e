/**
 * Runs the project's own `drizzle-kit generate` and reports what really happened: drizzle-kit exits 0 when it failed,
 * and asks whether a column is new or renamed in a way that needs a terminal. Success is what it wrote, not what it
 * prints.
 *
 * Without a terminal its questions are answered from `answers`: a preloaded line makes it see a terminal, and keys are
 * written to its standard input. A question without an answer ends it.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { MigrationFailed, MigrationRefused, UsageError } from '../errors.ts'
import { packageMissing } from '../optional-packages.ts'
import { type Migration, readMigrations } from '../migrate/files/folder.ts'
import { layoutKind } from '../migrate/files/layout.ts'
import { readRegularFile } from '../migrate/files/text-file.ts'
import { withTypesAsDeclared } from './kit-types.ts'
import type { Project } from './project.ts'
import { refuseSpecialFiles } from './schema-files.ts'

/** How drizzle-kit's questions are answered. */
export interface Answers {
  /** Old name -> new name, of tables (`old`) and columns (`old` with or without its table). */
  readonly renames: ReadonlyMap<string, string>
  /** Everything it asks about that is not a rename is new. False: an unanswered question is an error. */
  readonly created: boolean
}

/** One run of `drizzle-kit generate`. */
export interface GenerateRun {
  readonly project: Pick<Project, 'directory' | 'configPath' | 'schema'>
  /** The folder it writes to, as the config says. */
  readonly folder: string
  readonly args: readonly string[]
  /** `terminal`: the person at the terminal answers. */
  readonly answers: Answers | 'terminal'
  readonly signal: AbortSignal
}

/** A question of drizzle-kit that has no answer. */
export class UnansweredQuestion extends UsageError {
  readonly question: string

  constructor({ text, table, options }: Question) {
    const flags = options.flatMap((option) =>
      option === undefined ? [] : [`--rename ${table === undefined ? '' : `${table}.`}${option.from}:${option.to}`],
    )
    super(
      `drizzle-kit asks: ${text}\nFor a rename, answer with ${flags.join(', or ') || '--rename OLD:NEW'}. With ` +
        '--created, everything else it asks about is new, and the old one is dropped',
    )
    this.question = text
  }
}

const silenceMs = 120_000

/**
 * Runs drizzle-kit and returns the migrations it wrote; none when the schema has not changed. @throws MigrationFailed,
 * and ConfigInvalid for a schema file that is no file.
 */
export async function runGenerate(run: GenerateRun): Promise<readonly Migration[]> {
  const before = await existing(run.folder)
  if ((await layoutKind(run.folder)) === 'folders') {
    throw new UsageError(
      `${relative('', run.folder)} has the layout of drizzle-kit 1.0 (${before[0]?.file}), but Rivulet runs drizzle-kit ` +
        '0.31, which would generate the whole schema again beside it. Write the migration with drizzle-kit 1.0: ' +
        '`drizzle-kit generate`, with --custom for SQL of your own. Then run: rivulet lint --try',
    )
  }
  await refuseCollisions(run.folder)
  await refuseSpecialFiles(run.project)
  const { output, exitCode } = await execute(run)
  const isNew = ({ name }: Migration) => !before.some((migration) => migration.name === name)
  const written = (await existing(run.folder)).filter(isNew)
  for (const { path, text } of written) {
    const mended = withTypesAsDeclared(text)
    if (mended !== text) await writeFile(path, mended)
  }
  if (written.length > 0) return (await existing(run.folder)).filter(isNew)
  if (exitCode === 0 && output.includes('No schema changes')) return []
  throw new MigrationFailed(
    `drizzle-kit wrote no migration${exitCode ? ` (exit code ${exitCode})` : ''}; its output:\n${quote(output)}`,
  )
}

async function existing(folder: string): Promise<readonly Migration[]> {
  return (await layoutKind(folder)) ? readMigrations(folder) : []
}

/**
 * Refuses two snapshots with one parent: two branches generated from the same state, and drizzle-kit would see only
 * one. @throws MigrationRefused, also for a snapshot that cannot be read.
 */
export async function refuseCollisions(folder: string): Promise<void> {
  const meta = join(folder, 'meta')
  const names = existsSync(meta) ? (await readdir(meta)).filter((name) => name.endsWith('_snapshot.json')).sort() : []
  const childOf = new Map<string, string>()
  for (const name of names) {
    const text = (await readRegularFile(join(meta, name))).toString()
    let snapshot: { prevId?: unknown }
    try {
      snapshot = JSON.parse(text) as typeof snapshot
    } catch (cause) {
      throw new MigrationRefused(
        'inconsistent',
        `${join(meta, name)} is not valid JSON: restore it from version control`,
        { cause },
      )
    }
    const parent = String(snapshot.prevId)
    const twin = childOf.get(parent)
    if (twin !== undefined) {
      throw new MigrationRefused(
        'inconsistent',
        `the snapshots ${twin} and ${name} have the same parent: two branches generated them from the same state. ` +
          'Remove the later migration with `drizzle-kit drop`, then generate it again',
        { migrations: [twin, name] },
      )
    }
    childOf.set(parent, name)
  }
}

/**
 * Code that runs before drizzle-kit in its process. When raw mode ends it asks no more, so its input must not keep it
 * alive.
 */
const believe = (streams: string) =>
  `--import=data:text/javascript,${encodeURIComponent(
    `for (const stream of [${streams}]) Object.defineProperty(stream, 'isTTY', { value: true });` +
      'const { stdin } = process; stdin.setRawMode ??= (on) => (on ? stdin.ref() : stdin.unref(), stdin);' +
      'process.stdout.columns ??= 200',
  )}`

function execute({
  project,
  args,
  answers,
  signal,
}: GenerateRun): Promise<{ output: string; exitCode: number | null }> {
  const terminal = answers === 'terminal'
  const preload = believe(terminal ? 'process.stdout' : 'process.stdin, process.stdout')
  const child = spawn(process.execPath, [preload, findKit(project.directory), 'generate', ...args], {
    cwd: project.directory,
    stdio: [terminal ? 'inherit' : 'pipe', 'pipe', 'pipe'],
  })
  return new Promise((resolve, reject) => {
    let output = ''
    let failure: Error | undefined
    const answered = new Set<string>()
    const end = (error: Error) => {
      failure ??= error
      child.kill('SIGKILL')
    }
    const abort = () => end(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    const overdue = () =>
      end(
        new MigrationFailed(
          `drizzle-kit printed nothing for ${silenceMs / 1000} s and was stopped; its output:\n${quote(output)}`,
        ),
      )
    let silence = setTimeout(overdue, silenceMs)
    let settle: NodeJS.Timeout | undefined
    const answer = () => {
      const question = lastQuestion(output)
      if (question === undefined || answered.has(question.text) || terminal) return
      answered.add(question.text)
      const choice = choose(question, answers)
      if (choice === undefined) end(new UnansweredQuestion(question))
      else child.stdin?.write(`${'\u001B[B'.repeat(choice)}\r`)
    }
    const onData = (chunk: string) => {
      output += stripVTControlCharacters(chunk)
      if (terminal) process.stderr.write(chunk)
      clearTimeout(silence)
      if (!terminal) silence = setTimeout(overdue, silenceMs)
      // A question is printed at once, but may arrive in pieces.
      clearTimeout(settle)
      settle = setTimeout(answer, 50)
    }
    child.stdout?.setEncoding('utf8').on('data', onData)
    child.stderr?.setEncoding('utf8').on('data', onData)
    child.stdin?.on('error', () => undefined)
    child.on('error', end)
    child.on('close', (exitCode) => {
      clearTimeout(silence)
      clearTimeout(settle)
      signal.removeEventListener('abort', abort)
      if (failure) reject(failure)
      else resolve({ output, exitCode })
    })
  })
}

interface Question {
  readonly text: string
  /** The table, if the question is about a column. */
  readonly table: string | undefined
  /** The options from top to bottom: undefined is "create", all others are renames. */
  readonly options: readonly ({ readonly from: string; readonly to: string } | undefined)[]
}

/** `Is name column in customers table created or renamed from another column?`, then one line an option. */
function lastQuestion(output: string): Question | undefined {
  const at = output.lastIndexOf(' created or renamed from another ')
  if (at < 0) return undefined
  const start = output.lastIndexOf('\n', at) + 1
  const [text = '', ...lines] = output.slice(start).split('\n')
  const options = lines.flatMap((line) => {
    const rename = /~ (\S+) › (\S+)\s+rename /.exec(line)
    if (rename) return [{ from: rename[1] ?? '', to: rename[2] ?? '' }]
    return /\+ \S+\s+create /.test(line) ? [undefined] : []
  })
  return { text: text.trim(), table: /column in (\S+) table/.exec(text)?.[1], options }
}

/** The index of the option that the answers choose; undefined when they choose none. */
function choose({ table, options }: Question, answers: Answers): number | undefined {
  const renamed = options.findIndex((option) => {
    if (option === undefined) return false
    const to =
      answers.renames.get(table === undefined ? option.from : `${table}.${option.from}`) ??
      answers.renames.get(option.from)
    return to !== undefined && (to === option.to || to === `${table}.${option.to}`)
  })
  if (renamed >= 0) return renamed
  const created = options.indexOf(undefined)
  return answers.created && created >= 0 ? created : undefined
}

function findKit(directory: string): string {
  let main: string
  try {
    main = createRequire(join(directory, 'package.json')).resolve('drizzle-kit')
  } catch (cause) {
    throw packageMissing('`rivulet generate`', ['drizzle-kit'], cause)
  }
  return join(dirname(main), 'bin.cjs')
}

/** drizzle-kit's output from its first error on, without the stack; its last lines when it has no error. */
function quote(output: string): string {
  const lines = output.split('\n').map((line) => line.trimEnd())
  const kept = lines.filter((line) => line !== '' && !/^\s+at |^Reading config file|^No config path/.test(line))
  const first = [/^\s*\w*(?:Error|Exception)\b/, /^\s*(?:\w*Warning\b|\[?[✗✘×])/]
    .map((sign) => kept.findIndex((line) => sign.test(line)))
    .find((index) => index >= 0)
  return (first === undefined ? kept.slice(-12) : kept.slice(first, first + 12)).map((line) => `  ${line}`).join('\n')
}
