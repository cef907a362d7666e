/**
 * What keeps VACUUM from taking dead rows away: transactions that are open for long or wait for their client, prepared
 * ones, and replication slots. Nothing of what they run is shown.
 */
import { manualPage } from '../lint/rule.ts'
import { shownCount, shownNumber, shownSize, shownTime } from './amounts.ts'
import type { Ailment, Check, Look } from './health-rule.ts'

interface SeenTransaction {
  readonly pid: number
  readonly role: string
  readonly application: string
  readonly isHidden: boolean
  readonly isIdle: boolean
  readonly openMs: number
  readonly idleMs: number
}

// Another role's sessions have no state for roles that may not see it.
const activity = `select a.pid, coalesce(a.usename, '') as role, coalesce(a.application_name, '') as application,
    a.backend_type is null as "isHidden", coalesce(a.state like 'idle in transaction%', false) as "isIdle",
    coalesce(extract(epoch from clock_timestamp() - a.xact_start)::float8 * 1000, 0) as "openMs",
    coalesce(extract(epoch from clock_timestamp() - a.state_change)::float8 * 1000, 0) as "idleMs"
  from pg_stat_activity a
  where a.datname = current_database() and a.pid <> pg_backend_pid()
    and (a.backend_type is null or (a.backend_type = 'client backend' and a.xact_start is not null))
  order by a.xact_start, a.pid`

async function transactions({ rows, unseen }: Look): Promise<readonly SeenTransaction[]> {
  const all = await rows<SeenTransaction>(activity)
  const hidden = all.filter(({ isHidden }) => isHidden).length
  if (hidden > 0) unseen(`what ${shownCount(hidden, 'session')} of other roles do: GRANT pg_read_all_stats to see it`)
  return all.filter(({ isHidden }) => !isHidden)
}

function ended({ pid, role, application }: SeenTransaction, what: string): Ailment {
  const name = application === '' ? '' : `, application ${JSON.stringify(application)}`
  return {
    object: String(pid),
    message: `the transaction of backend ${pid} (role ${JSON.stringify(role)}${name}) ${what}`,
    sql: `SELECT pg_catalog.pg_terminate_backend(${pid});`,
  }
}

const horizon = 'VACUUM takes no row away that has died since it began, in no table, and its locks stay'

export const longTransaction: Check = {
  name: 'long-transaction',
  why: horizon,
  mend: 'SELECT pg_catalog.pg_terminate_backend(12345);',
  manual: `${manualPage}routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY`,
  find: async (look) =>
    (await transactions(look))
      .filter(({ isIdle, openMs }) => !isIdle && openMs >= look.limits.transactionMs)
      .map((each) => ended(each, `has been open for ${shownTime(each.openMs)}`)),
}

export const idleInTransaction: Check = {
  name: 'idle-in-transaction',
  why: `its client began it and does nothing with it. ${horizon}`,
  mend:
    'SELECT pg_catalog.pg_terminate_backend(12345);\n' +
    "-- so that the server ends them by itself:\nALTER ROLE app SET idle_in_transaction_session_timeout = '60s';",
  manual: `${manualPage}runtime-config-client.html#GUC-IDLE-IN-TRANSACTION-SESSION-TIMEOUT`,
  find: async (look) =>
    (await transactions(look))
      .filter(({ isIdle, idleMs }) => isIdle && idleMs >= look.limits.idleTransactionMs)
      .map((each) => ended(each, `has waited for its client for ${shownTime(each.idleMs)}`)),
}

interface PreparedTransaction {
  readonly gid: string
  readonly literal: string
  readonly owner: string
  readonly openMs: number
}

const prepared = `select gid, quote_literal(gid) as literal, owner::text,
    extract(epoch from clock_timestamp() - prepared)::float8 * 1000 as "openMs"
  from pg_prepared_xacts where database = current_database() order by prepared, gid`

export const preparedTransaction: Check = {
  name: 'prepared-transaction',
  why: `nobody has said whether it is to be committed, and it outlives a restart of the server. ${horizon}`,
  mend: "ROLLBACK PREPARED 'transfer-7'; -- or COMMIT PREPARED, if its other half was committed",
  manual: `${manualPage}sql-prepare-transaction.html`,
  find: async ({ rows, limits }) =>
    (await rows<PreparedTransaction>(prepared))
      .filter(({ openMs }) => openMs >= limits.transactionMs)
      .map(({ gid, literal, owner, openMs }) => ({
        object: gid,
        message: `the transaction ${literal} of role ${JSON.stringify(owner)} was prepared ${shownTime(openMs)} ago`,
        sql: `ROLLBACK PREPARED ${literal}; -- or COMMIT PREPARED, if its other half was committed`,
      })),
}

interface ReplicationSlot {
  readonly name: string
  readonly literal: string
  readonly isActive: boolean
  readonly transactions: number | null
  readonly bytes: number | null
}

const slots = `select slot_name as name, quote_literal(slot_name) as literal, active as "isActive",
    greatest(age(xmin), age(catalog_xmin))::float8 as transactions,
    pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
      restart_lsn)::float8 as bytes
  from pg_replication_slots
  where (database is null or database = current_database()) and wal_status is distinct from 'lost' order by slot_name`

export const replicationSlot: Check = {
  name: 'replication-slot',
  why: 'VACUUM takes no row away that its reader may still need, and its write-ahead log stays until the disk is full',
  mend: "SELECT pg_catalog.pg_drop_replication_slot('old_standby');",
  manual: `${manualPage}warm-standby.html#STREAMING-REPLICATION-SLOTS`,
  find: async ({ rows, limits }) =>
    (await rows<ReplicationSlot>(slots)).flatMap(({ name, literal, isActive, transactions, bytes }) => {
      const holds = transactions !== null && transactions >= limits.slotTransactions
      const fills = !isActive && bytes !== null && bytes >= limits.slotBytes
      if (!holds && !fills) return []
      const kept = [
        holds && `the dead rows of ${shownNumber(transactions)} transactions`,
        bytes !== null && `${shownSize(bytes)} of write-ahead log`,
      ].filter(Boolean)
      const drop = `SELECT pg_catalog.pg_drop_replication_slot(${literal});`
      return {
        object: name,
        message: `the slot ${literal}, which ${isActive ? 'is in use' : 'nobody reads'}, keeps ${kept.join(' and ')}`,
        sql: isActive ? `-- see first why its reader is behind; once that is stopped:\n${drop}` : drop,
      }
    }),
}
