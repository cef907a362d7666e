/**
 * Patterns as the Drizzle config has them, for files and for names of tables: `*` is any characters but a slash, `**` is
 * any characters, `?` is one character. Everything else stands for itself.
 */

/** The expression for the whole of a text that the pattern fits. */
export function globPattern(glob: string): RegExp {
  const source = glob.replaceAll(/\*\*\/|\*\*|[*?]|[.+^${}()|[\]\\]/g, (token) => wildcards[token] ?? `\\${token}`)
  return new RegExp(`^${source}$`, 's')
}

const wildcards: Readonly<Record<string, string>> = { '**/': '(?:.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]' }
