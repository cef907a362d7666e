/** Rules about constraints. */
import { child, children, plainName, relationName, text, type Tree } from '../files/parse-tree.ts'
import { type AddedConstraint, commandsOn, constraintsOn, manualPage, type Rule } from './rule.ts'

const alterTable = `${manualPage}sql-altertable.html`
const notValid = `${alterTable}#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT`

const foreignKey: Rule = {
  name: 'foreign-key-validates',
  why:
    'blocks all writes to both tables (SHARE ROW EXCLUSIVE) while every row is looked up in the other table: minutes ' +
    'on millions of rows',
  instead:
    'ALTER TABLE t ADD CONSTRAINT t_u_fk FOREIGN KEY (u_id) REFERENCES u (id) NOT VALID; -- checks new rows only\n' +
    '-- in the next migration, reads and writes go on:\nALTER TABLE t VALIDATE CONSTRAINT t_u_fk;',
  manual: notValid,
  check: (body, context) =>
    constraintsOn(body, context)
      .filter(({ node }) => node.contype === 'CONSTR_FOREIGN' && node.skip_validation !== true)
      .map((added) => `${called(added)} on ${added.table} references ${relationName(child(added.node, 'pktable'))}`),
}

const check: Rule = {
  name: 'check-validates',
  why: 'reads the whole table and blocks all reads and writes meanwhile (ACCESS EXCLUSIVE)',
  instead:
    'ALTER TABLE t ADD CONSTRAINT t_c_positive CHECK (c > 0) NOT VALID; -- checks new rows only\n' +
    '-- in the next migration, reads and writes go on:\nALTER TABLE t VALIDATE CONSTRAINT t_c_positive;',
  manual: notValid,
  check: (body, context) =>
    constraintsOn(body, context)
      .filter(({ node }) => node.contype === 'CONSTR_CHECK' && node.skip_validation !== true)
      .map((added) => `${called(added)} on ${added.table} is added without NOT VALID`),
}

const unique: Rule = {
  name: 'unique-builds-index',
  why: 'builds its index and blocks all reads and writes of the table meanwhile (ACCESS EXCLUSIVE)',
  instead:
    '-- in a file of its own:\nCREATE UNIQUE INDEX CONCURRENTLY t_c_unique ON t (c);\n-- in the next migration:\n' +
    'ALTER TABLE t ADD CONSTRAINT t_c_unique UNIQUE USING INDEX t_c_unique;',
  manual: `${alterTable}#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT-USING-INDEX`,
  check: (body, context) =>
    constraintsOn(body, context)
      .filter(({ node }) => ['CONSTR_UNIQUE', 'CONSTR_PRIMARY'].includes(text(node.contype)))
      .filter(({ node }) => text(node.indexname) === '')
      .map((added) => `${called(added)} on ${added.table} is added without an existing index`),
}

const exclusion: Rule = {
  name: 'exclusion-builds-index',
  why: 'builds its index and blocks all reads and writes of the table meanwhile (ACCESS EXCLUSIVE); there is no concurrent way',
  instead: '-- make a new table with the constraint, copy in batches, and swap; or accept the outage in a quiet hour',
  manual: `${manualPage}sql-createtable.html#SQL-CREATETABLE-EXCLUDE`,
  check: (body, context) =>
    constraintsOn(body, context)
      .filter(({ node }) => node.contype === 'CONSTR_EXCLUSION')
      .map((added) => `${called(added)} on ${added.table}`),
}

const validateAtOnce: Rule = {
  name: 'validate-in-same-file',
  why:
    'the lock of ADD CONSTRAINT … NOT VALID is held until the file commits, so the scan of VALIDATE blocks others ' +
    'exactly as if NOT VALID had been left out',
  instead: '-- put VALIDATE CONSTRAINT into the next migration',
  manual: `${alterTable}#SQL-ALTERTABLE-NOTES`,
  check: (body, context) =>
    commandsOn(body, context)
      .filter(({ subtype }) => subtype === 'AT_ValidateConstraint' && context.transactional)
      .filter(({ table, name }) => context.history.addedUnvalidated(table, name))
      .map(({ table, name }) => `constraint ${name} on ${table} is added and validated in one transaction`),
}

const dropPrimaryKey: Rule = {
  name: 'drop-primary-key',
  why:
    'the table has no key until another is made, under ACCESS EXCLUSIVE; foreign keys that refer to it, logical ' +
    'replication and ON CONFLICT stop working',
  instead:
    '-- make the index of the new key beforehand, then swap in one statement:\n' +
    'CREATE UNIQUE INDEX CONCURRENTLY t_new ON t (c);\n' +
    'ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_new;',
  manual: `${alterTable}#SQL-ALTERTABLE-DESC-DROP-CONSTRAINT`,
  check: (body, context) => {
    const commands = commandsOn(body, context)
    const swapped = commands.some(({ definition }) => text(child(definition, 'Constraint')?.indexname) !== '')
    return commands
      .filter(({ subtype }) => subtype === 'AT_DropConstraint' && !swapped)
      .filter(({ table, name }) => context.history.isPrimaryKey(table, name))
      .map(({ table, name }) => `primary key ${name} of ${table} is dropped`)
  },
}

const domainCheck: Rule = {
  name: 'domain-check-validates',
  why: 'reads every table with a column of the domain, all of them locked against writes (SHARE), until the file commits',
  instead:
    'ALTER DOMAIN d ADD CONSTRAINT d_check CHECK (VALUE > 0) NOT VALID; -- checks new values only\n' +
    '-- in the next migration:\nALTER DOMAIN d VALIDATE CONSTRAINT d_check;',
  manual: `${manualPage}sql-alterdomain.html`,
  check: ({ kind, node }, { history }) => {
    const domain = plainName(children(node, 'typeName'))
    if (kind !== 'AlterDomainStmt' || history.isNew(domain)) return []
    if (node.subtype === 'O') return [`domain ${domain} becomes NOT NULL`]
    const valid = node.subtype === 'C' && child(node, 'def', 'Constraint')?.skip_validation !== true
    return valid ? [`a check is added to domain ${domain} without NOT VALID`] : []
  },
}

/** The rules about constraints. */
export const constraintRules: readonly Rule[] = [
  foreignKey,
  check,
  unique,
  exclusion,
  validateAtOnce,
  dropPrimaryKey,
  domainCheck,
]

const words: Readonly<Record<string, string>> = {
  CONSTR_FOREIGN: 'foreign key',
  CONSTR_CHECK: 'check',
  CONSTR_UNIQUE: 'unique constraint',
  CONSTR_PRIMARY: 'primary key',
  CONSTR_EXCLUSION: 'exclusion constraint',
}

function called({ column, node }: Pick<AddedConstraint, 'column' | 'node'>): string {
  const name = text((node as Tree).conname)
  return [words[text(node.contype)], name || (column && `of column ${column}`)].filter(Boolean).join(' ')
}
