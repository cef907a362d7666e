/** Runs the soak alone: it is no test of every run, but of an evening. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/chaos/soak.ts'],
    globalSetup: ['test/support/global-setup.ts'],
  },
})
