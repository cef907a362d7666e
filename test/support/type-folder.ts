/** A folder of programs that TypeScript checks, as those of people who use the package; outside, so no test is in it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The folder of the package, with a slash behind it. */
export const packageRoot = new URL('../..', import.meta.url).pathname

export class TypeFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'rivulet-types-'))

  constructor() {
    symlinkSync(join(packageRoot, 'node_modules'), join(this.path, 'node_modules'))
    this.write('package.json', '{ "type": "module" }')
  }

  /** Writes a file and answers its path. */
  write(name: string, text: string): string {
    const file = join(this.path, name)
    writeFileSync(file, text)
    return file
  }

  /** What the compiler prints when it checks one of the files, in the same way as the tests. */
  check(name: string, ...options: string[]): string {
    const config = this.write(
      `tsconfig.${name}.json`,
      JSON.stringify({
        extends: join(packageRoot, 'test/tsconfig.json'),
        compilerOptions: {
          rootDir: '/',
          typeRoots: [join(packageRoot, 'node_modules/@types')],
          rewriteRelativeImportExtensions: false,
          allowImportingTsExtensions: true,
        },
        include: [],
        files: [join(this.path, name)],
      }),
    )
    const compiler = join(packageRoot, 'node_modules/.bin/tsc')
    const { stdout, error } = spawnSync(compiler, ['-p', config, '--pretty', 'false', ...options], { encoding: 'utf8' })
    if (error) throw error
    return stdout
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
