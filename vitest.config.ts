/**
 * The projects of the tests, so that a run starts no more than it needs: `unit` has no server; `integration` has one
 * for the run, which no test harms; `chaos` has another; `types` is what the compiler says. The soak, which takes an
 * evening, has a config of its own.
 */
import { defineConfig } from 'vitest/config'

const server = ['test/support/global-setup.ts']

export default defineConfig({
  test: {
    // By default Vitest leaves one core to others; a test waits for its server more often than it computes.
    maxWorkers: '100%',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Conditions are polled for, never slept for; a busy machine may take its time.
    expect: { poll: { interval: 20, timeout: 10_000 } },
    projects: [
      // Its files share their processes: what they import takes longer to load than most of them to run.
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false } },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/{integration,http}/**/*.test.ts', 'test/examples/*.test.ts'],
          globalSetup: server,
        },
      },
      { extends: true, test: { name: 'chaos', include: ['test/chaos/**/*.test.ts'], globalSetup: server } },
      {
        extends: true,
        test: {
          name: 'types',
          include: ['test/types/**/*.test.ts'],
          typecheck: {
            enabled: true,
            include: ['test/types/**/*.test-d.ts'],
            tsconfig: 'test/tsconfig.json',
          },
        },
      },
    ],
  },
})
