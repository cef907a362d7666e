/**
 * What the comments of a source file say of its classes and of the members of its interfaces: pages for users are made of
 * them. It reads text, as TypeScript 7 has no interface for programs; the sources are formatted, so little is needed.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = new URL('../..', import.meta.url).pathname

/** A member of an interface or a property of a class. */
export interface Member {
  readonly name: string
  readonly type: string
  /** One paragraph; empty without a comment. */
  readonly text: string
}

/** A class with the literals its properties are set to. */
export interface DocumentedClass {
  readonly name: string
  readonly parent: string
  readonly text: string
  /** The heading comment it stands below, as in `// ---- the pool`; empty above the first. */
  readonly group: string
  /** As in `{ code: 'not_found', retryable: 'true' }`. */
  readonly literals: Readonly<Record<string, string>>
  readonly properties: readonly Member[]
}

/** The text of a source file, by its path from the root. */
export function sourceText(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** The members of an interface, with their comments. */
export function membersOf(path: string, name: string): readonly Member[] {
  const body = new RegExp(`^export interface ${name}\\b[^{]*\\{\\n([^]*?)^\\}`, 'm').exec(sourceText(path))?.[1]
  if (body === undefined) throw new Error(`${path} has no interface ${name}`)
  return members(body)
}

/** The exported classes of a file, in their order. */
export function classesOf(path: string): readonly DocumentedClass[] {
  const text = sourceText(path)
  const found = text.matchAll(
    /\/\*\*((?:(?!\*\/)[^])*)\*\/\nexport (?:abstract )?class (\w+) extends (\w+)[^{]*\{\n([^]*?)^\}/gm,
  )
  return Array.from(found, ({ 1: comment = '', 2: name = '', 3: parent = '', 4: body = '', index }) => {
    const literals = Array.from(body.matchAll(/readonly (\w+)(?:: \w+)? = '?(\w+)'?/g), ([, key, value]) => [
      key,
      value,
    ])
    return {
      name,
      parent,
      text: paragraph(comment),
      group: Array.from(text.slice(0, index).matchAll(/^\/\/ ---- (.*)$/gm)).at(-1)?.[1] ?? '',
      literals: Object.fromEntries(literals) as Record<string, string>,
      properties: members(body.split('constructor(')[0] ?? ''),
    }
  })
}

function members(body: string): Member[] {
  const found = body.matchAll(/^ {2}(?:\/\*\*((?:(?!\*\/)[^])*)\*\/\n {2})?readonly (\w+)\??: ((?:[^\n=]|=>)+)$/gm)
  return Array.from(found, ([, comment = '', name = '', type = '']) => ({
    name,
    type: type.replaceAll('readonly ', '').replace(/ \| undefined$/, ''),
    text: paragraph(comment),
  }))
}

/** A comment as one paragraph. */
function paragraph(comment: string): string {
  return comment
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join(' ')
    .trim()
}
