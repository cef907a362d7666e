/** `rivulet/testing`: databases for the tests of those who use Rivulet. */
export type { TestDatabase } from './clone.ts'
export { openTestDatabase, type TestDatabaseOptions, type TestSeed } from './test-database.ts'
