/** The migrator's progress as lines of text. */
import type { MigrationProgress, OnProgress } from '../migrate/progress.ts'
import { type Console, duration } from './console.ts'

/** Prints one line per event, but no line per statement. */
export function reporter(console: Console, done = 'applied'): OnProgress {
  return (progress) => {
    const line = describe(progress, done)
    if (line === undefined) return
    console.note(progress.type === 'file.applied' ? console.style('green', line) : console.style('dim', line))
  }
}

function describe(progress: MigrationProgress, done: string): string | undefined {
  switch (progress.type) {
    case 'lock.awaited': {
      const { pid, application, waitedMs } = progress
      const who = pid === undefined ? 'another session' : `backend ${pid}${application ? ` (${application})` : ''}`
      return `waiting: ${who} is migrating this database (${duration(waitedMs)} so far)`
    }
    case 'file.started': {
      const { file, statements, transactional } = progress
      const how = transactional ? '' : ', without a transaction'
      return `${file}: ${statements} statement${statements === 1 ? '' : 's'}${how}`
    }
    case 'file.gave_way': {
      const { file, statement, delayMs, oldest } = progress
      const who = oldest
        ? `; the oldest open transaction belongs to backend ${oldest.pid}` +
          `${oldest.application && ` (${oldest.application})`} and is ${duration(oldest.ageMs)} old`
        : ''
      return `${file}: statement ${statement} could not lock its table${who}; retrying in ${duration(delayMs)}`
    }
    case 'transactions.awaited': {
      const { file, statement, blockers, waitedMs } = progress
      const who = blockers.map(({ pid, application }) => `backend ${pid}${application && ` (${application})`}`)
      const whom = `the transactions of ${who.join(', ')} (${duration(waitedMs)} so far)`
      return `${file}: statement ${statement} is waiting for ${whom}`
    }
    case 'index.dropped':
      return `${progress.file}: dropped the invalid index ${progress.index}, which an interrupted run left`
    case 'file.resumed':
      return `${progress.file}: an earlier run was interrupted; resuming at statement ${progress.statement}`
    case 'file.applied':
      return `${progress.file}: ${done} in ${duration(progress.durationMs)}`
    default:
      return undefined
  }
}
