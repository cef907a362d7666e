/** Rules about columns. https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES */
import { child, children, dotted, relationName, text, type Tree, walk } from '../files/parse-tree.ts'
import { type ColumnType, typeOf } from './history.ts'
import { columnsAdded, commandsOn, manualPage, type Rule } from './rule.ts'

const alterTable = `${manualPage}sql-altertable.html`

const addNotNull: Rule = {
  name: 'add-not-null-column',
  why: 'fails if the table has any row, because existing rows would have no value',
  instead:
    'ALTER TABLE t ADD COLUMN c integer NOT NULL DEFAULT 0; -- a constant default is stored once, not in every row',
  manual: alterTable,
  check: (body, context) =>
    columnsAdded(body, context)
      .filter(({ type, find }) => {
        const filled = ['CONSTR_DEFAULT', 'CONSTR_IDENTITY', 'CONSTR_GENERATED'].some(find) || isSerial(type)
        return (find('CONSTR_NOTNULL') ?? find('CONSTR_PRIMARY')) !== undefined && !filled
      })
      .map(({ table, name }) => `column ${name} of ${table} is NOT NULL without a default`),
}

const volatileDefault: Rule = {
  name: 'volatile-default',
  why:
    'rewrites the whole table and all its indexes, and blocks all reads and writes meanwhile (ACCESS EXCLUSIVE): ' +
    'minutes on millions of rows',
  instead:
    'ALTER TABLE t ADD COLUMN c uuid;\nALTER TABLE t ALTER COLUMN c SET DEFAULT gen_random_uuid();\n' +
    '-- then fill the old rows in batches, in a later migration',
  manual: `${alterTable}#SQL-ALTERTABLE-NOTES`,
  check: (body, context) =>
    columnsAdded(body, context).flatMap(({ table, name, find }) => {
      const called = volatileCalls(child(find('CONSTR_DEFAULT'), 'raw_expr'))
      return called.length === 0 ? [] : [`the default of column ${name} of ${table} calls ${called.join(', ')}`]
    }),
}

const generatedColumn: Rule = {
  name: 'add-generated-column',
  why:
    'computes a value for every existing row: rewrites the whole table, and blocks all reads and writes meanwhile ' +
    '(ACCESS EXCLUSIVE)',
  instead:
    'ALTER TABLE t ADD COLUMN c integer; -- fill it in batches, keep it up to date with a trigger;\n' +
    '-- for keys: CREATE SEQUENCE, ALTER COLUMN c SET DEFAULT nextval(…), then fill',
  manual: `${alterTable}#SQL-ALTERTABLE-NOTES`,
  check: (body, context) =>
    columnsAdded(body, context).flatMap(({ table, name, type, find }) => {
      const generated = find('CONSTR_GENERATED')
      const stored = generated !== undefined && generated.generated_kind !== 'v'
      const what = find('CONSTR_IDENTITY')
        ? 'an identity'
        : isSerial(type)
          ? 'serial'
          : stored
            ? 'generated'
            : undefined
      return what === undefined ? [] : [`column ${name} of ${table} is ${what}`]
    }),
}

const changeType: Rule = {
  name: 'change-column-type',
  why:
    'rewrites the table and its indexes, and blocks all reads and writes meanwhile (ACCESS EXCLUSIVE), unless the new ' +
    'type is only wider (varchar to a longer varchar or text); running code still expects the old type',
  instead:
    'ALTER TABLE t ADD COLUMN c_new bigint; -- write both from now on, fill in batches,\n' +
    '-- switch the readers, then drop the old column in a later release',
  manual: `${alterTable}#SQL-ALTERTABLE-DESC-SET-DATA-TYPE`,
  check: (body, context) =>
    commandsOn(body, context)
      .filter(({ table, subtype, name, definition }) => {
        if (subtype !== 'AT_AlterColumnType') return false
        const column = child(definition, 'ColumnDef')
        const before = context.history.typeOf(table, name)
        return child(column, 'raw_default') !== undefined || !isWider(before, typeOf(child(column, 'typeName')))
      })
      .map(({ table, name }) => `column ${name} of ${table} changes its type`),
}

const setNotNull: Rule = {
  name: 'set-not-null',
  why: 'reads the whole table and blocks all reads and writes meanwhile (ACCESS EXCLUSIVE); fails if a value is null',
  instead:
    'ALTER TABLE t ADD CONSTRAINT t_c_not_null CHECK (c IS NOT NULL) NOT VALID;\n-- in the next migration:\n' +
    'ALTER TABLE t VALIDATE CONSTRAINT t_c_not_null;\n-- and in the one after:\n' +
    'ALTER TABLE t ALTER COLUMN c SET NOT NULL; -- takes the check as proof\n' +
    'ALTER TABLE t DROP CONSTRAINT t_c_not_null;',
  manual: `${alterTable}#SQL-ALTERTABLE-DESC-SET-DROP-NOT-NULL`,
  check: (body, context) =>
    commandsOn(body, context)
      .filter(({ subtype }) => subtype === 'AT_SetNotNull')
      .filter(({ table, name }) => !context.history.provenNotNull(table, name))
      .map(({ table, name }) => `column ${name} of ${table} becomes NOT NULL without a validated check`),
}

const dropColumn: Rule = {
  name: 'drop-column',
  why:
    'breaks every running instance of the current release (Drizzle names all columns in SELECT) until the last one is ' +
    'replaced; the data is lost',
  instead: '-- first release code whose schema no longer has the column; drop it in a migration after that',
  manual: `${alterTable}#SQL-ALTERTABLE-DESC-DROP-COLUMN`,
  check: (body, context) =>
    commandsOn(body, context)
      .filter(({ subtype }) => subtype === 'AT_DropColumn')
      .map(({ table, name }) => `column ${name} of ${table} is dropped`),
}

const renameColumn: Rule = {
  name: 'rename-column',
  why: 'breaks every running instance of the current release until the last one is replaced',
  instead:
    'ALTER TABLE t ADD COLUMN new_name text; -- write both, fill, switch the readers, drop the old one later;\n' +
    "-- or rename in code only: text('old_name') under a new property",
  manual: `${alterTable}#SQL-ALTERTABLE-DESC-RENAME`,
  check: ({ kind, node }, { history }) => {
    const table = relationName(child(node, 'relation'))
    const column = kind === 'RenameStmt' && node.renameType === 'OBJECT_COLUMN'
    if (!column || node.relationType !== 'OBJECT_TABLE' || history.isNew(table)) return []
    return [`column ${text(node.subname)} of ${table} becomes ${text(node.newname)}`]
  },
}

/** The rules about columns. */
export const columnRules: readonly Rule[] = [
  addNotNull,
  volatileDefault,
  generatedColumn,
  changeType,
  setNotNull,
  dropColumn,
  renameColumn,
]

function isSerial(type: Tree | undefined): boolean {
  return /^(?:small|big)?serial[248]?$/.test(typeOf(type).name)
}

/** Functions whose value holds for a whole statement; anything else may differ from row to row. */
const steady = new Set(
  (
    'now statement_timestamp transaction_timestamp current_setting current_database lower upper md5 concat to_json ' +
    'to_jsonb json_build_object jsonb_build_object json_build_array jsonb_build_array array_fill length coalesce ' +
    'make_interval make_date make_timestamp make_timestamptz to_timestamp to_date timezone date_trunc extract age ' +
    'replace repeat substring substr trim btrim ltrim rtrim int4range int8range numrange tsrange tstzrange daterange ' +
    'abs round floor ceil ceiling trunc sign sqrt cbrt power exp ln log pi mod div degrees radians sin cos tan gcd lcm ' +
    'encode decode format sha224 sha256 sha384 sha512 ascii chr initcap lpad rpad left right reverse strpos translate ' +
    'split_part starts_with concat_ws quote_literal quote_ident quote_nullable regexp_replace regexp_match to_char ' +
    'to_number to_hex char_length character_length octet_length bit_length position overlay convert_to convert_from ' +
    'get_byte set_byte string_to_array array_to_string array_append array_prepend array_cat array_length cardinality ' +
    'array_position array_remove array_replace array_to_json row_to_json json_object jsonb_object jsonb_set ' +
    'jsonb_strip_nulls to_tsvector to_tsquery plainto_tsquery setweight point box circle line lseg path polygon inet ' +
    'cidr macaddr host network netmask family masklen int4multirange int8multirange nummultirange tsmultirange ' +
    'tstzmultirange datemultirange isempty range_merge bool int2 int4 int8 float4 float8 numeric text varchar bpchar ' +
    'date time timestamp timestamptz interval make_time date_part date_bin justify_days justify_hours ' +
    'justify_interval isfinite current_schema current_schemas version pg_typeof txid_current pg_current_xact_id ' +
    'inet_client_addr inet_server_addr'
  ).split(' '),
)

function volatileCalls(expression: Tree | undefined): string[] {
  const calls = new Set<string>()
  walk(expression, (kind, node) => {
    if (kind !== 'FuncCall') return
    const name = dotted(children(node, 'funcname')).replace(/^pg_catalog\./, '')
    if (!steady.has(name)) calls.add(`${name}()`)
  })
  return [...calls]
}

/** The changes of type that PostgreSQL makes in the catalog alone. */
function isWider(before: ColumnType | undefined, after: ColumnType): boolean {
  if (before === undefined || before.array !== after.array) return false
  const strings = new Set(['varchar', 'text'])
  if (strings.has(before.name) && strings.has(after.name)) {
    const [from = Infinity] = before.modifiers
    const [to = Infinity] = after.modifiers
    return to >= from
  }
  if (before.name === 'cidr' && after.name === 'inet') return true
  if (before.name !== after.name) return false
  if (before.modifiers.join() === after.modifiers.join()) return true
  if (/^time(?:stamp)?(?:tz)?$/.test(before.name)) return (after.modifiers[0] ?? 6) >= (before.modifiers[0] ?? 6)
  const [precision = Infinity, scale = 0] = before.modifiers
  const [newPrecision = Infinity, newScale = 0] = after.modifiers
  return before.name === 'numeric' && newPrecision >= precision && (newScale === scale || newPrecision === Infinity)
}
