/** Runs the matrix of Node and TypeScript versions alone: it installs them from the registry. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/versions/**/*.test.ts'],
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
})
