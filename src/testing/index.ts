/** `rivulet/testing`: databases, a sandbox and factories for the tests of those who use Rivulet. */
export type { TestDatabase } from './clone.ts'
export { expectPlan, type PlanExpectation } from './expect-plan.ts'
export { defineFactory, type Factory, type Make, type Overrides } from './factory.ts'
export { openSandbox, type Sandbox } from './sandbox.ts'
export type { SeededRandom } from './seeded-random.ts'
export { openTestDatabase, type TestDatabaseOptions, type TestEngineOptions, type TestSeed } from './test-database.ts'
export { type DatabaseFixtures, withTestDatabase, type WithTestDatabaseOptions } from './with-test-database.ts'
