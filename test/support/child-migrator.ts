/**
 * A process that migrates and is killed on the way. argv: database URL, migrations folder, the number of the boundary at
 * which it kills itself (from 0), and `before` (nothing of the next step has been sent) or `sent` (it is under way).
 */
import { applyMigrations } from '../../src/migrate/commands/apply.ts'

const [url = '', folder = '', boundary = '', moment = ''] = process.argv.slice(2)
let passed = 0

await applyMigrations(url, {
  folder,
  onProgress: ({ type }) => {
    if (type !== 'statement.started' && type !== 'file.executed' && type !== 'file.applied') return
    if (passed++ !== Number(boundary)) return
    if (moment === 'before') die()
    else setImmediate(() => setImmediate(die))
  },
})

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}
