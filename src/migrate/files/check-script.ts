/** Refuses files that cannot be run as they are written, before anything is begun. */
import type { Migration } from './folder.ts'
import { MigrationRefused } from '../../errors.ts'
import {
  controlsTransaction,
  isOnlyComments,
  leavesTransaction,
  noTransactionComment,
  parseScript,
  refusesTransaction,
  type Script,
  commitGroups,
  unknownDirective,
} from './script.ts'
import { child, children, dotted, nodeKind, text, type Tree, walk } from './parse-tree.ts'

/**
 * Parses and checks the script in `source`. @throws MigrationRefused ('unsafe') for an empty file or a wrong statement.
 */
export async function readScript(file: string, source: string): Promise<Script> {
  await refusePulled(file, source)
  const script = await parseScript(source)
  if (script.statements.length === 0) {
    throw new MigrationRefused(
      'unsafe',
      `${file} has no statement: write its SQL, or remove the migration with \`drizzle-kit drop\``,
      { file },
    )
  }
  const leaves = leavesTransaction(script.statements)
  const blocks = leaves ? commitGroups(script.statements).filter(({ together }) => together) : []
  for (const [index, { tree, text, line, comments }] of script.statements.entries()) {
    if (leaves && tree && controlsTransaction(tree)) continue
    const misspelt = comments.map((comment) => unknownDirective(comment, script.transactional)).find(Boolean)
    const inBlock = script.transactional || blocks.some(({ from, to }) => index >= from && index < to)
    const reason = misspelt ?? (tree ? refusal(tree, script.transactional, inBlock) : forPsql(text))
    if (reason === undefined) continue
    const where = { file, statement: index + 1, line }
    throw new MigrationRefused('unsafe', `${file}: statement ${index + 1} (line ${line}): ${reason}`, where)
  }
  return script
}

/**
 * @throws MigrationRefused ('unsafe') for a file that is one comment, as the first file of `drizzle-kit pull` is: it
 * makes nothing.
 */
export async function refusePulled(file: string, source: string): Promise<void> {
  if (!(await isPulledComment(source))) return
  throw new MigrationRefused(
    'unsafe',
    `${file} is one comment, as \`drizzle-kit pull\` writes its first file, and makes nothing. ${pulledAdvice(file)}`,
    { file },
  )
}

/** What to do about such a file, whether others follow it or not. */
export function pulledAdvice(file: string): string {
  const name = file.replace(/(?:\/migration)?\.sql$/, '')
  return (
    'Remove its /* and */, and check with `rivulet lint --try` that it runs. For a database that already has all of it, ' +
    `run \`rivulet baseline --to ${name} --accept-changed\`. (While it is the only migration, \`rivulet pull\` can replace it)`
  )
}

/** True for such a file. */
export async function isPulledComment(source: string): Promise<boolean> {
  return /\bCREATE (?:TABLE|TYPE|SCHEMA)\b/.test(source) && (await isOnlyComments(source))
}

/** The scripts of `migrations`. @throws MigrationRefused ('unsafe') for the first that cannot be run as it is written. */
export async function readScripts(migrations: readonly Migration[]): Promise<(readonly [Migration, Script])[]> {
  const scripts: (readonly [Migration, Script])[] = []
  for (const migration of migrations) {
    scripts.push([migration, await readScript(migration.file, migration.text)])
  }
  return scripts
}

const copyFromStdin = 'COPY FROM STDIN has no input in a migration: use INSERT, or load the data with psql'

/** Explains text for psql, which neither the parser nor the server can read. */
function forPsql(source: string): string | undefined {
  if (/\bcopy\b[^;]*\bfrom\s+stdin\b/i.test(source)) return copyFromStdin
  const command = /^\s*(\\[a-z!?]\w*)/im.exec(source)?.[1]
  return command && `${command} is a command of psql, not SQL: remove it (pg_dump writes such lines)`
}

function refusal(tree: Tree, transactional: boolean, inBlock: boolean): string | undefined {
  if (controlsTransaction(tree)) {
    return transactional
      ? 'the file already runs in a transaction of its own: remove BEGIN, COMMIT and ROLLBACK. (If each statement has ' +
          `to commit by itself, begin the file with \`${noTransactionComment}\`)`
      : 'each statement of this file commits by itself: remove BEGIN, COMMIT and ROLLBACK. (A file that leaves its ' +
          'transaction with COMMIT, for CONCURRENTLY, may only have BEGIN and COMMIT in turn)'
  }
  if (!inBlock) {
    const lost = lostWithSession(tree)
    if (lost) return lost
  }
  const copy = child(tree, 'CopyStmt')
  if (copy?.is_from === true && text(copy.filename) === '') {
    return copyFromStdin
  }
  // An interrupted build is found again by the index's name.
  if (nodeKind(tree) === 'IndexStmt' && refusesTransaction(tree) && text(child(tree, 'IndexStmt')?.idxname) === '') {
    return 'the index has no name: give it one, so that the run after an interrupted one can find it'
  }
  return undefined
}

/**
 * Refuses what a file without a transaction must not rely on in its session: a run that resumes after a failure has a
 * new one.
 */
function lostWithSession(tree: Tree): string | undefined {
  const set = child(tree, 'VariableSetStmt')
  if (set?.is_local === true || text(set?.kind) === 'VAR_SET_MULTI') {
    return 'each statement of this file commits by itself, so this setting would end at once: use SET without LOCAL'
  }
  let temporary = ['PrepareStmt', 'DeclareCursorStmt', 'ListenStmt'].includes(nodeKind(tree))
  let setting = false
  walk(tree, (kind, node) => {
    if (node.relpersistence === 't' || node.schemaname === 'pg_temp') temporary = true
    if (kind === 'String' && node.sval === 'pg_temp') temporary = true
    if (kind === 'FuncCall' && /(?:^|\.)set_config$/.test(dotted(children(node, 'funcname')))) setting = true
  })
  if (temporary) {
    return (
      'a run that resumes after a failure has a new session, without the temporary objects of earlier statements: use a ' +
      'permanent object and drop it at the end'
    )
  }
  return setting
    ? 'a run that resumes after a failure has a new session: use SET, which is repeated there, instead of set_config()'
    : undefined
}
