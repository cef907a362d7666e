/**
 * Reads migrations as the server would and reports what would hurt a table in use. Files are read in order, because
 * rules ask what earlier files did; only the requested ones are reported.
 *
 * A comment before a statement silences a rule for it and gives the reason: `-- rivulet:ignore drop-column: unused
 * since 2.3`. `-- rivulet:ignore-file …` above the first statement does so for the file. A reason is required.
 */
import { UsageError } from '../../errors.ts'
import { checkOptions, optionNames } from '../../option-names.ts'
import { parseScript, type Statement, unknownDirective } from '../files/script.ts'
import { isPulledComment } from '../files/check-script.ts'
import { bodyOf } from './body.ts'
import { columnRules } from './columns.ts'
import { constraintRules } from './constraints.ts'
import { History } from './history.ts'
import { indexRules } from './indexes.ts'
import { objectRules } from './objects.ts'
import { type LintRule, manualPage, type Rule } from './rule.ts'
import { tableRules } from './tables.ts'
import { transactionRules } from './transactions.ts'

const checkedRules: readonly Rule[] = [
  ...columnRules,
  ...constraintRules,
  ...indexRules,
  ...tableRules,
  ...objectRules,
  ...transactionRules,
]

/** Every rule. */
export const lintRules: readonly LintRule[] = checkedRules

/** A danger in a file, found by a rule. */
export interface Finding {
  readonly rule: string
  readonly file: string
  readonly line: number
  /** What the statement does. */
  readonly message: string
  readonly why: string
  /** The safe way, in SQL. */
  readonly instead: string
  readonly manual: string
}

/** A file to read; `report` is false for files that only show what came before. */
export interface LintSource {
  readonly file: string
  readonly text: string
  readonly report?: boolean
}

const fileNames = optionNames<LintSource>({ file: 'string', text: 'string', report: 'boolean' })

/** @throws UsageError */
function checkSources(sources: readonly LintSource[]): void {
  if (!Array.isArray(sources)) throw new UsageError('lint takes a list of files: [{ file, text }]')
  for (const source of sources as readonly LintSource[]) {
    checkOptions('a file of lint', fileNames, source)
    if (source.text === undefined || source.file === undefined) throw new UsageError('a file of lint is { file, text }')
  }
}

/** The findings in `sources`, which must be in the order in which they are applied. */
export async function lint(sources: readonly LintSource[]): Promise<readonly Finding[]> {
  checkSources(sources)
  const history = new History()
  const findings: Finding[] = []
  for (const { file, text, report = true } of sources) {
    history.nextFile()
    if (await isPulledComment(text)) {
      if (report) findings.push({ ...pulledFinding, file, line: 1 })
      continue
    }
    const { statements, transactional } = await parseScript(text)
    if (report && statements.length === 0) findings.push({ ...emptyFinding, file, line: 1 })
    const forFile = ignores(statements[0]?.comments ?? [], 'ignore-file')
    for (const [index, statement] of statements.entries()) {
      const body = bodyOf(statement)
      if (report) {
        const found = new Map<string, Omit<Finding, 'file' | 'line'>>()
        if (!body) found.set('', syntaxFinding(statement))
        for (const rule of body ? checkedRules : []) {
          for (const message of rule.check(body!, { statements, index, transactional, history })) {
            found.set(`${rule.name} ${message}`, { ...described(rule), message })
          }
        }
        const silenced = [...forFile, ...ignores(statement.comments, 'ignore')]
        for (const finding of found.values()) {
          if (!silenced.some(({ rules }) => rules.includes(finding.rule))) {
            findings.push({ ...finding, file, line: statement.line })
          }
        }
        const comments = index === 0 ? silenced : silenced.slice(forFile.length)
        const complaints = comments.flatMap(({ complaint }) => complaint ?? [])
        complaints.push(...statement.comments.flatMap((comment) => unknownDirective(comment, transactional) ?? []))
        findings.push(...complaints.map(badIgnore(file, statement.line)))
      }
      if (body) history.learn(body)
    }
  }
  return findings
}

interface Ignore {
  readonly rules: readonly string[]
  readonly complaint: string | undefined
}

function ignores(comments: readonly string[], word: 'ignore' | 'ignore-file'): readonly Ignore[] {
  return comments.flatMap((comment): Ignore[] => {
    const match = new RegExp(
      `^(?:--|/\\*)\\s*rivulet:\\s*${word}\\s+([^:]*?)\\s*(?::\\s*(.*?))?\\s*(?:\\*/)?$`,
      'is',
    ).exec(comment)
    if (!match) return []
    const rules = (match[1] ?? '').split(/[\s,]+/).filter(Boolean)
    const unknown = rules.filter((name) => !lintRules.some((rule) => rule.name === name))
    if (unknown.length > 0) return [{ rules, complaint: `there is no rule ${unknown.join(', ')}` }]
    if (!match[2]) return [{ rules: [], complaint: `the comment gives no reason for silencing ${rules.join(', ')}` }]
    return [{ rules, complaint: undefined }]
  })
}

function badIgnore(file: string, line: number): (message: string) => Finding {
  return (message) => ({
    rule: 'ignore-comment',
    file,
    line,
    message,
    why: 'later readers of the file need to know why the finding was accepted',
    instead: '-- rivulet:ignore rule-name: the reason',
    manual: `${manualPage}sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS`,
  })
}

const pulledFinding = {
  rule: 'pulled-comment',
  message: 'the file is one comment, as `drizzle-kit pull` writes its first one',
  why: 'it makes nothing, so a new database would lack everything that later migrations need',
  instead:
    '-- remove /* and */, and check with rivulet lint --try that the file runs; for a database that already has it:\n' +
    '-- rivulet baseline --to FILE --accept-changed',
  manual: `${manualPage}sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS`,
}

const emptyFinding = {
  rule: 'empty-file',
  message: 'the file has no statement',
  why: '`rivulet migrate` refuses such a file, because it may have been left unfinished',
  instead: 'SELECT 1; -- if the file is meant to do nothing',
  manual: `${manualPage}sql-commands.html`,
}

function described({ name, why, instead, manual }: Rule) {
  return { rule: name, why, instead, manual }
}

function syntaxFinding({ syntaxError }: Statement) {
  return {
    rule: 'syntax',
    message: `PostgreSQL's parser says: ${syntaxError?.message} (line ${syntaxError?.line})`,
    why: 'the file would fail, or is written for another server',
    instead: '-- correct the statement',
    manual: `${manualPage}sql-commands.html`,
  }
}
