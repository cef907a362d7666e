/** `rivulet/testing`: databases and a sandbox for the tests of those who use Rivulet. */
export type { TestDatabase } from './clone.ts'
export { openSandbox, type Sandbox } from './sandbox.ts'
export { openTestDatabase, type TestDatabaseOptions, type TestSeed } from './test-database.ts'
