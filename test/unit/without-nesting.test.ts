/** Definitions without parentheses that PostgreSQL drops when it reads them again. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { withoutNesting } from '../../src/migrate/schema/without-nesting.ts'

describe('an AND in an AND, or an OR in an OR', () => {
  test.each([
    ['CHECK (((a >= 0) AND (a <= 9)) AND (b <> 1))', 'CHECK ((a >= 0) AND (a <= 9) AND (b <> 1))'],
    ['CHECK ((((a = 1) AND (b = 1)) AND (c = 1)))', 'CHECK (((a = 1) AND (b = 1) AND (c = 1)))'],
    ['(x OR (y OR z))', '(x OR y OR z)'],
    ['((((a AND b) AND c) AND d) OR (e OR f))', '((a AND b AND c AND d) OR e OR f)'],
    ['((a AND b) OR (c AND d))', '((a AND b) OR (c AND d))'],
    ['(NOT (a AND b) AND c)', '(NOT (a AND b) AND c)'],
    ['(((a AND b))::boolean AND c)', '(((a AND b))::boolean AND c)'],
    ['(f((a AND b)) AND c)', '(f((a AND b)) AND c)'],
    ["(x = '((a AND b) AND c)')", "(x = '((a AND b) AND c)')"],
    [`(x = E'\\\\''((' AND ((y) AND "(")`, `(x = E'\\\\''((' AND ((y) AND "(")`],
    [`((x = E'\\\\''(' AND y) AND "(")`, `(x = E'\\\\''(' AND y AND "(")`],
    ['AS $f$ select ((a AND b) AND c) $f$', 'AS $f$ select ((a AND b) AND c) $f$'],
    ['(ROWS BETWEEN 1 PRECEDING AND (1 + 1) FOLLOWING)', '(ROWS BETWEEN 1 PRECEDING AND (1 + 1) FOLLOWING)'],
  ])('%s is %s', (nested, flat) => {
    expect(withoutNesting(nested)).toBe(flat)
  })

  test('means what it meant, and cannot be made flatter', () => {
    const { expression } = fc.letrec<{ expression: string }>((tie) => ({
      expression: fc.oneof(
        { depthSize: 'medium', withCrossShrink: true },
        fc.constantFrom('true', 'false', "(')' <> '(')"),
        fc
          .tuple(fc.constantFrom('AND', 'OR'), fc.array(tie('expression'), { minLength: 2, maxLength: 3 }))
          .map(([connective, operands]) => `(${operands.join(` ${connective} `)})`),
        tie('expression').map((operand) => `(NOT ${operand})`),
      ),
    }))
    const value = (sql: string): unknown => {
      const source = sql.replaceAll('AND', '&&').replaceAll('OR', '||').replaceAll('NOT', '!').replaceAll('<>', '!==')
      // oxlint-disable-next-line no-implied-eval, no-new-func -- of the same grammar, but for the words
      return (new Function(`return ${source}`) as () => unknown)()
    }
    fc.assert(
      fc.property(expression, (sql) => {
        const flat = withoutNesting(sql)
        expect(value(flat)).toBe(value(sql))
        expect(withoutNesting(flat)).toBe(flat)
      }),
    )
  })
})
