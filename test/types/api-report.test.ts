/** The surface of the package is what its reports say, so that it cannot change unseen. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { apiReports, reportFolder } from '../../.ci/api-report.js'

test('the surface is the one in test/api', { timeout: 120_000 }, () => {
  for (const { name, text, unexported } of apiReports()) {
    const kept = readFileSync(join(reportFolder, `${name}.api.md`), 'utf8')
    expect(text, `the surface of ${name} has changed: look at it, then \`npm run api\` and the CHANGELOG`).toBe(kept)
    expect(
      unexported,
      `types that ${name} mentions and does not export: see src/declaration-types.ts and src/http/declaration-types.ts`,
    ).toEqual([])
    expect(text.match(/\bany\b/g)).toBeNull()
  }
})
