/** Tries migrations in a scratch database, for `generate` and `lint --try`, and describes the outcome. */
import { MigrationRefused, RivuletError } from '../errors.ts'
import type { Finding } from '../migrate/lint/lint.ts'
import { manualPage } from '../migrate/lint/rule.ts'
import { type Trial, tryMigrations } from '../migrate/schema/trial.ts'
import type { Project } from './project.ts'
import { withScratchServer } from './scratch-server.ts'

/** Tries the named migrations, after those before them. @throws Cancelled */
export async function tryOnScratchServer(
  project: Project,
  names: readonly string[] | undefined,
  scratchUrl: string | undefined,
  signal: AbortSignal,
): Promise<Trial> {
  const served = await withScratchServer(
    project,
    scratchUrl,
    signal,
    ({ url, throwAway, standIn }) =>
      tryMigrations(url, { ...project.source, names, throwAway, standIn, signal }).catch((error: unknown): Trial => {
        // A full disk, or a server that goes away: the generated file exists all the same.
        const reportable = error instanceof RivuletError && !(error instanceof MigrationRefused)
        if (signal.aborted || !reportable) throw error
        return { outcome: 'untried', reason: error.message }
      }),
    ({ outcome }) => outcome === 'untried',
  )
  return 'answer' in served ? served.answer : { outcome: 'untried', reason: served.unserved }
}

/** A file that does not run, as a finding of lint. */
export function trialFinding(trial: Trial, fileOf: (name: string) => string): Finding | undefined {
  if (trial.outcome !== 'fails') return undefined
  const [message = '', ...hints] = trial.reason.split('\n')
  return {
    rule: 'cannot-run',
    file: fileOf(trial.name),
    line: trial.line ?? 1,
    message,
    why: trial.refused
      ? 'it was not tried: `rivulet migrate` refuses such a file before it runs any of it'
      : 'it was tried in a scratch database, after the migrations before it; `rivulet migrate` would fail in the same way',
    instead:
      hints.length > 0
        ? hints.map((hint) => `-- ${hint}`).join('\n')
        : trial.refused
          ? '-- write it as the message says'
          : '-- correct the statement',
    manual: `${manualPage}errcodes-appendix.html`,
  }
}
