/**
 * The sessions that are open now, and what each waits for: another session that holds its lock, named by its label, or
 * whatever the server says. It is asked on a connection beside the pool, which may be the one thing that is not blocked.
 */
import type { Engine } from '../engine.ts'
import type { Lease } from '../lease/lease.ts'

/** A session that is open. */
export interface OpenSessionView {
  readonly label: string
  readonly backendPid: number
  /** Milliseconds since it was given its connection. */
  readonly ageMs: number
  /** Whether a statement of it runs. */
  readonly running: boolean
  /** Where it was asked for, if traces are on. */
  readonly acquiredAt: string
  /** What the server says that it waits for: `Lock: transactionid`; undefined while it waits for nothing. */
  readonly waitsFor: string | undefined
  readonly blockedBy: readonly BlockerView[]
}

/** Who holds the lock. */
interface BlockerView {
  readonly backendPid: number
  /** The label of a session of ours, else the application's name. */
  readonly name: string
}

/** What the server says of one backend. */
interface BackendActivity {
  readonly pid: number
  readonly wait: string | null
  readonly blocker: number | null
  readonly application: string | null
}

const mostSessions = 200
/** Younger ones are not asked about: most have ended before the answer is there. */
const askedAfterMs = 100

/** All of them, and whether the server has said in time what they wait for. */
export interface OpenSessions {
  readonly sessions: readonly OpenSessionView[]
  readonly serverAnswered: boolean
}

/** Looks at all of them; `aside` is an engine beside the pool. */
export async function openSessions(leases: Iterable<Lease>, aside: Engine): Promise<OpenSessions> {
  const open = [...leases].slice(0, mostSessions)
  const old = open.filter(({ heldMs }) => heldMs >= askedAfterMs)
  // A server that does not answer is what the rest may be about: it has to be seen all the same.
  const answer = old.length === 0 ? [] : await ask(aside, old).catch(() => undefined)
  const activities = answer ?? []
  const labels = new Map(open.map(({ label, connection }) => [connection.backendPid, nameOf(label)]))
  const sessions = open
    .filter(({ isReleased }) => !isReleased)
    .map((lease) => {
      const { backendPid } = lease.connection
      const said = activities.filter(({ pid }) => pid === backendPid)
      return {
        label: nameOf(lease.label),
        backendPid,
        ageMs: lease.heldMs,
        running: lease.running > 0,
        acquiredAt: lease.acquiredAt,
        waitsFor: said[0]?.wait ?? undefined,
        blockedBy: said.flatMap(({ blocker, application }) =>
          blocker === null
            ? []
            : [{ backendPid: blocker, name: labels.get(blocker) ?? (application || 'another program') }],
        ),
      }
    })
    .sort((a, b) => b.ageMs - a.ageMs)
  return { sessions, serverAnswered: answer !== undefined }
}

/** What waits for the client does not wait, as far as people are concerned. */
function ask(aside: Engine, leases: readonly Lease[]): Promise<readonly BackendActivity[]> {
  const pids = leases.map(({ connection }) => connection.backendPid)
  return aside.session(
    ({ sql }) => sql<BackendActivity>`
      select a.pid, a.wait_event_type || ': ' || a.wait_event as wait, blocker, b.application_name as application
      from pg_catalog.pg_stat_activity a
      left join lateral unnest(
        case when a.wait_event_type = 'Lock' then pg_catalog.pg_blocking_pids(a.pid) end
      ) as blocker on true
      left join pg_catalog.pg_stat_activity b on b.pid = blocker
      where a.pid = any (${pids}::int[]) and a.wait_event_type <> 'Client'`,
    { timeoutMs: 2000 },
  )
}

function nameOf(label: string | undefined): string {
  return label ?? 'session'
}
