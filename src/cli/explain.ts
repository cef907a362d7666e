/** `rivulet explain`: the plans of statements, from a file or from standard input. */
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { ConnectionLost, RivuletError, UsageError } from '../errors.ts'
import { statementsOf } from '../drizzle/script-query.ts'
import { type AskRows, explainGeneric, explainStatement } from '../explain/explain-statement.ts'
import { withConnection } from '../migrate/connect.ts'
import { otherThanFile } from '../migrate/files/text-file.ts'
import type { QueryPlan } from '../plan/query-plan.ts'
import type { Connection } from '../pool/connection.ts'
import { sqlStateOf } from '../sqlstate.ts'
import { type Command, commonHelp, exitCodes, type OptionValues } from './command.ts'
import type { Console } from './console.ts'
import { withDatabase } from './project.ts'

export const explainCommand: Command = {
  name: 'explain',
  summary: 'show how the server runs a statement, and what looks wrong with that',
  help: `Usage: rivulet explain [FILE ...] [options]

Reads SQL from the files, or from standard input, and shows the plan of each statement. Nothing is run without --analyze.
Parameters may stand as $1, $2, …: the plan is then the one for any value. Where DATABASE_URL names the database, there need
be no Drizzle config.

Options:
      --analyze           run the statements as well, for times and true numbers of rows, in a transaction that is
                          read-only and rolled back
      --buffers           with --analyze: count the pages that each step used
      --writes            with --analyze: run statements that write, too. They are rolled back, but their triggers
                          fire, and sequences go on
${commonHelp}

Exit codes: 0 done, 1 a statement could not be explained (the others are), 64 wrong arguments

Examples:
  rivulet explain slow.sql
  echo 'select * from orders where note = $1' | rivulet explain
  rivulet explain report.sql --analyze --json | jq '.plans[].warnings'`,
  options: { analyze: { type: 'boolean' }, buffers: { type: 'boolean' }, writes: { type: 'boolean' } },
  takesFiles: true,
  needsDatabaseOnly: true,
  run: async ({ values, positionals, project, console, signal }) => {
    checkValues(values)
    const statements = statementsOf(await sqlIn(positionals)).map((statement) => statement.trim())
    if (statements.length === 0) throw new UsageError('there is no statement to explain')
    const all = await withDatabase(await project(), (url) =>
      withConnection(
        url,
        async (connection) => {
          // What runs is stopped on the server: it would go on there, whoever has gone here.
          const stop = () => void connection.cancel(AbortSignal.timeout(2000)).catch(() => undefined)
          signal.addEventListener('abort', stop, { once: true })
          try {
            const found: Explained[] = []
            for (const statement of statements) {
              signal.throwIfAborted()
              found.push(await explained(connection, statement, values))
            }
            return found
          } finally {
            signal.removeEventListener('abort', stop)
          }
        },
        'rivulet explain',
      ),
    )
    signal.throwIfAborted()
    const plans = all.flatMap(({ plan }) => plan ?? [])
    const failed = all.flatMap(({ statement, error }) =>
      error ? [{ statement, code: error.code, message: error.message }] : [],
    )
    for (const { statement, message } of failed) {
      console.note(console.style('red', all.length > 1 ? `${message}, in\n${statement}` : message))
    }
    const texts = plans.map((plan) => planText(plan, all.length > 1, console))
    const exitCode = failed.length > 0 ? exitCodes.failed : exitCodes.done
    return { exitCode, text: texts.join('\n\n'), json: { plans, failed } }
  },
}

function checkValues({ analyze, buffers, writes }: OptionValues): void {
  if (analyze === true) return
  if (buffers === true) throw new UsageError('--buffers counts while a statement runs: add --analyze')
  if (writes === true) throw new UsageError('--writes allows statements that are run to write: add --analyze')
}

async function sqlIn(files: readonly string[]): Promise<string> {
  if (files.length > 0) return (await Promise.all(files.map(sqlOf))).join('\n;\n')
  if (process.stdin.isTTY) throw new UsageError('give a file with SQL, or SQL on standard input')
  return text(process.stdin)
}

async function sqlOf(file: string): Promise<string> {
  if (!existsSync(file)) throw new UsageError(`there is no file at ${file}`)
  const other = otherThanFile(await stat(file))
  if (other !== undefined) throw new UsageError(`${file} cannot be read: it is ${other}, not a file`)
  return readFile(file, 'utf8')
}

/** What came of one statement: its plan, or why there is none. */
interface Explained {
  readonly statement: string
  readonly plan?: QueryPlan
  readonly error?: RivuletError
}

/** One that cannot be explained keeps none of the others from it; without a connection none can be. */
async function explained(connection: Connection, statement: string, values: OptionValues): Promise<Explained> {
  try {
    return { statement, plan: await planOf(connection, statement, values) }
  } catch (error) {
    if (!(error instanceof RivuletError) || error instanceof ConnectionLost || connection.lost) throw error
    return { statement, error }
  }
}

/** In a transaction of its own, so that one that fails leaves nothing to the next. */
async function planOf(connection: Connection, statement: string, values: OptionValues): Promise<QueryPlan> {
  const { analyze = false, buffers = false, writes = false } = values as Readonly<Record<string, boolean | undefined>>
  const ask: AskRows = (question, parameters) => connection.query(question, parameters, { arrays: true })
  await connection.script(analyze && writes ? 'begin' : 'begin read only')
  try {
    const { plan, parameters } = await explainGeneric(ask, statement)
    if (!analyze) return plan
    if (parameters > 0) throw new UsageError('--analyze runs the statement: write values in the place of $1, $2, …')
    return await explainStatement(ask, { text: statement, parameters: [] }, { analyze, buffers })
  } catch (error) {
    if (sqlStateOf(error) !== readOnlyState) throw error
    throw new UsageError('the statement writes: --analyze would run it. Add --writes to run it and roll it back', {
      cause: error,
    })
  } finally {
    await connection.script('rollback').catch((error: unknown) => {
      if (!(error instanceof RivuletError)) throw error
    })
  }
}

/** SQLSTATE of a write in a transaction that is read-only. */
const readOnlyState = '25006'

function planText({ statement, text: plan, warnings }: QueryPlan, named: boolean, console: Console): string {
  const lines = plan.split('\n')
  const tree = lines.slice(0, lines.length - warnings.length)
  const wrong = lines.slice(lines.length - warnings.length).map((line) => console.styleResult('yellow', line))
  return [...(named ? [console.styleResult('bold', statement), ''] : []), ...tree, ...wrong].join('\n')
}
