/**
 * The names of options, and the one check for a name that is not among them. A misspelt option must never be ignored:
 * `readonly` would write, and `were` would change every row. The compiler keeps the lists: a name that the type does not
 * have, or that the list lacks, does not compile.
 */

/** The names of the options of `T`: `optionNames<TaskOptions>({ signal: true, timeoutMs: true, label: true })`. */
export function optionNames<T>(names: { readonly [K in keyof Required<T>]: true }): readonly string[] {
  return Object.keys(names)
}

/** The first name of `given` that is not known, inherited ones included; undefined when all are. */
export function unknownOption(given: object, known: readonly string[]): string | undefined {
  for (const name in given) if (!known.includes(name)) return name
  return undefined
}
