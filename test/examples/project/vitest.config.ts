/** Two test files at once, each in a process of its own. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: { include: ['test/*.test.ts'], maxWorkers: 2, testTimeout: 30_000, hookTimeout: 60_000 },
})
