/** Every command of `rivulet`, and the help that lists them. */
import { baselineCommand } from './baseline.ts'
import type { Command } from './command.ts'
import { explainCommand } from './explain.ts'
import { doctorCommand } from './doctor.ts'
import { revertCommand } from './revert.ts'
import { generateCommand } from './generate.ts'
import { lintCommand } from './lint.ts'
import { migrateCommand } from './migrate.ts'
import { pullCommand } from './pull.ts'
import { resetCommand } from './reset.ts'
import { seedCommand } from './seed.ts'
import { serveCommand } from './serve.ts'
import { statusCommand } from './status.ts'
import { verifyCommand } from './verify.ts'

/** In the order in which a project meets them. */
export const commands: readonly Command[] = [
  generateCommand,
  migrateCommand,
  statusCommand,
  verifyCommand,
  lintCommand,
  doctorCommand,
  revertCommand,
  baselineCommand,
  pullCommand,
  seedCommand,
  resetCommand,
  explainCommand,
  serveCommand,
]

/** What `rivulet --help` prints. */
export const help = `Usage: rivulet COMMAND [options]

${commands.map(({ name, summary }) => `  ${name.padEnd(10)}${summary}`).join('\n')}

Commands work on the project in the current directory: drizzle.config.ts names the schema, the migrations folder and the
database. Without dbCredentials there, DATABASE_URL is used; without DATABASE_URL, the embedded server in .rivulet/,
beside the nearest package.json.

Exit codes: 0 done, 1 failed, 2 migrations are pending, 3 files and database contradict each other, 4 the time limit for
a lock was reached, 64 wrong arguments or configuration, 130 interrupted (SIGINT), 143 terminated (SIGTERM).

\`rivulet COMMAND --help\` explains a command; \`rivulet --version\` prints the version.`
