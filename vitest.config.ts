/**
 * The projects of the tests, so that a run starts no more than it needs: `unit` has no server; `integration` has one
 * for the run, which no test harms; `chaos` has another; `types` is what the compiler says; `system` is what installs
 * the package, follows its documentation, or starts and kills servers of its own, and takes as long as all the others;
 * `browser` needs Chromium.
 * The soak, which takes an evening, has a config of its own.
 */
import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { keepTemporaryFilesInMemory } from './test/support/temporary-files.ts'

keepTemporaryFilesInMemory()

const server = ['test/support/global-setup.ts']

export default defineConfig({
  test: {
    // A test waits for servers and processes more often than it computes.
    maxWorkers: 2 * availableParallelism(),
    // These limits end what hangs. A busy machine is slow, and no test fails for that.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { interval: 20, timeout: 30_000 } },
    projects: [
      // Its files share their processes: what they import takes longer to load than most of them to run.
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false } },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/{integration,http}/**/*.test.ts'],
          globalSetup: server,
        },
      },
      {
        extends: true,
        test: { name: 'system', include: ['test/{system,examples,openapi}/*.test.ts'], globalSetup: server },
      },
      { extends: true, test: { name: 'browser', include: ['test/browser/*.test.ts'], globalSetup: server } },
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
