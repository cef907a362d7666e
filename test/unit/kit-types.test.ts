/** drizzle-kit's SQL, with types that PostgreSQL knows. */
import { describe, expect, test } from 'vitest'
import { withTypesAsDeclared } from '../../src/cli/kit-types.ts'

describe('the type of a column', () => {
  test.each([
    ['\t"c" "app.email" NOT NULL,', '\t"c" app.email NOT NULL,'],
    ['\t"c" ""Pub""', '\t"c" "Pub"'],
    ['\t"c" ""My"."Own Type""[] DEFAULT 1,', '\t"c" "My"."Own Type"[] DEFAULT 1,'],
    ['\t"c" ""a""b"",', '\t"c" "a""b",'],
    ['\t"c" "app.email collate "C"" PRIMARY KEY,', '\t"c" app.email collate "C" PRIMARY KEY,'],
    ['\t"c" "varbit(3)",', '\t"c" varbit(3),'],
    ['\t"c" "ext.geometry(Point,4326)"[][],', '\t"c" ext.geometry(Point,4326)[][],'],
    ['ALTER TABLE "s"."t" ADD COLUMN "c" "app.email";', 'ALTER TABLE "s"."t" ADD COLUMN "c" app.email;'],
    [
      'ALTER TABLE "t" ALTER COLUMN "c" SET DATA TYPE "undefined"."app.email";',
      'ALTER TABLE "t" ALTER COLUMN "c" SET DATA TYPE app.email;',
    ],
    [
      'ALTER TABLE "t" ALTER COLUMN "c" SET DATA TYPE "undefined"."citext"[];',
      'ALTER TABLE "t" ALTER COLUMN "c" SET DATA TYPE "citext"[];',
    ],
  ])('%j is %j', (written, right) => {
    const table = (line: string) => (line.startsWith('\t') ? `CREATE TABLE "t" (\n\t"id" integer,\n${line}\n);` : line)
    expect(withTypesAsDeclared(table(written))).toBe(table(right))
  })

  test.each([
    '\t"c" "citext" NOT NULL,',
    '\t"c" "app"."mood" DEFAULT \'a "x" "b.c" d\',',
    '\t"c" "my type",',
    '\t"c" text DEFAULT \'"a.b"\',',
    '\tCONSTRAINT "c" "a.b"',
    'CREATE INDEX "c" ON "t" USING btree ("a.b");',
    'ALTER TABLE "t" ALTER COLUMN "c" SET DEFAULT "a.b";',
  ])('%j is what it was', (written) => {
    expect(withTypesAsDeclared(written)).toBe(written)
  })
})
