/**
 * Builds the package: everything in `src/` is compiled to `dist/`, the reference schema to `dist/schema/`. The compiler
 * keeps the two side by side, as they are in the repository; here `src/` moves up, so that no published path has
 * `dist/src` in it, and what crosses from the one to the other is written anew.
 *
 * `node .ci/build.js`, as `npm run build` and `npm pack` do it.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const root = join(import.meta.dirname, '..')

/**
 * Compiles what a project file names into `dist`, and lays it out.
 * @param {string} project the tsconfig.json
 * @param {string} dist its `outDir`
 */
export function build(project, dist) {
  rmSync(dist, { recursive: true, force: true })
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '--project', project], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  for (const path of filesIn(dist))
    writeFileSync(join(dist, path), movedUp(path, readFileSync(join(dist, path), 'utf8')))
  for (const name of readdirSync(join(dist, 'src'))) renameSync(join(dist, 'src', name), join(dist, name))
  rmSync(join(dist, 'src'), { recursive: true })
  // What browsers load is served as it is written.
  for (const name of ['page.js', 'style.css'])
    cpSync(join(root, 'src/console/browser', name), join(dist, 'console/browser', name))
  for (const [entry, packages] of Object.entries(guarded)) guard(dist, entry, packages)
}

/**
 * The entries that cannot be loaded without packages which only some users need. What Node says where one is missing
 * helps nobody, and a module cannot catch what its own imports meet: so `import` gets a module that loads the entry and
 * says what to install. `require`, which takes no module that awaits, and bundlers get the entry itself.
 * @type {Record<string, string[]>}
 */
const guarded = {
  http: ['hono', '@hono/node-server'],
  jwt: ['jose'],
  opentelemetry: ['@opentelemetry/api'],
  prometheus: ['prom-client'],
  shop: ['hono', 'zod'],
}

/**
 * @param {string} dist
 * @param {string} entry
 * @param {string[]} packages
 */
function guard(dist, entry, packages) {
  const index = readFileSync(join(dist, entry, 'index.js'), 'utf8')
  const names = Array.from(index.matchAll(/^export \{([^}]*)\} from/gm), ([, list = '']) => list.split(',')).flat()
  const text = `/** \`rivulet/${entry}\` for \`import\`: says what to install where a package is missing. Made by the build. */
import { withPackages } from '../optional-packages.js';
export const { ${names
    .map((name) => name.replace(/.* as /, '').trim())
    .filter(Boolean)
    .join(', ')} } = await withPackages(
    'rivulet/${entry}', ${JSON.stringify(packages)}, () => import('./index.js'));
`
  writeFileSync(join(dist, entry, 'guarded.js'), text)
}

/**
 * The text of a file that moves from `dist/src/` to `dist/`; others keep theirs.
 * @param {string} path below `dist`, with `/`
 * @param {string} text
 */
function movedUp(path, text) {
  if (!path.startsWith('src/')) return text.replaceAll(/(['"](?:\.\.\/)+)src\//g, '$1')
  if (path.endsWith('.map')) {
    const map = /** @type {{ sources: string[] }} */ (JSON.parse(text))
    return JSON.stringify({ ...map, sources: map.sources.map((source) => source.replace('../', '')) })
  }
  // Only a path that leaves `src/` means the reference schema: a folder in there may have the same name.
  const depth = path.split('/').length - 1
  const [before, after] = ['../'.repeat(depth), '../'.repeat(depth - 1) || './']
  return text.replaceAll(/(['"])((?:\.\.\/)+)schema\//g, (specifier, quote, ups) =>
    ups === before ? `${quote}${after}schema/` : specifier,
  )
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function filesIn(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replaceAll('\\', '/'),
    )
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  build(join(root, 'tsconfig.json'), join(root, 'dist'))
}
