/** Files that cannot be run as they are written are refused before anything is begun. */
import { MigrationRefused } from './refusal.ts'
import {
  controlsTransaction,
  noTransactionComment,
  parseScript,
  refusesTransaction,
  type Script,
} from './statements.ts'
import { child, kindOf, text, type Tree } from './tree.ts'

/** The script in `source`, parsed. @throws MigrationRefused ('unsafe') for an empty file or a wrong statement. */
export async function readScript(file: string, source: string): Promise<Script> {
  const script = await parseScript(source)
  if (script.statements.length === 0) {
    throw new MigrationRefused(
      'unsafe',
      `${file} holds no statement, at most comments: write it, or undo it with \`drizzle-kit drop\``,
      {
        file,
      },
    )
  }
  for (const [index, { tree, line }] of script.statements.entries()) {
    const reason = tree && refusal(tree, script.transactional)
    if (reason === undefined) continue
    const where = { file, statement: index + 1, line }
    throw new MigrationRefused('unsafe', `${file}: statement ${index + 1} (line ${line}): ${reason}`, where)
  }
  return script
}

function refusal(tree: Tree, transactional: boolean): string | undefined {
  if (controlsTransaction(tree)) {
    return transactional
      ? `the file runs in a transaction of its own; take it out, or begin the file with \`${noTransactionComment}\``
      : 'each statement of this file commits by itself; take it out'
  }
  const copy = child(tree, 'CopyStmt')
  if (copy?.is_from === true && text(copy.filename) === '') {
    return 'COPY FROM STDIN has no input here; write INSERT, or load the data with psql'
  }
  // A build that was broken off is found again by the index's name.
  if (kindOf(tree) === 'IndexStmt' && refusesTransaction(tree) && text(child(tree, 'IndexStmt')?.idxname) === '') {
    return 'give the index a name, so that a run that was broken off can find it'
  }
  return undefined
}
