/** Patterns of the Drizzle config, for files and for names of tables. */
import { expect, test } from 'vitest'
import { globPattern } from '../../src/cli/glob.ts'

test.each([
  ['users', ['users'], ['users_2', 'xusers']],
  ['audit_*', ['audit_', 'audit_log'], ['my_audit_log', 'audit_a/b']],
  ['log_?', ['log_1'], ['log_', 'log_10']],
  ['a.b(c)[d]{e}$f|g+h', ['a.b(c)[d]{e}$f|g+h'], ['aXb(c)[d]{e}$f|g+h', 'h']],
  ['src/**/*.ts', ['src/a.ts', 'src/b/c/d.ts'], ['src/a.js', 'lib/a.ts', 'src/a.tsx']],
  ['src/**', ['src/a', 'src/b/c.ts'], ['srcs/a']],
])('%s', (glob, fitting, others) => {
  const pattern = globPattern(glob)
  expect(fitting.filter((text) => !pattern.test(text))).toEqual([])
  expect(others.filter((text) => pattern.test(text))).toEqual([])
})
