/**
 * The options of what is public, and the one check of those that a caller gives. A misspelt option must never be ignored:
 * `readonly` would write, and `were` would change every row; nor must `readOnly: 'no'` count as true. The compiler keeps the
 * lists: a name that the type does not have, or that the list lacks, does not compile, nor does a boolean as another kind.
 */
import { ConfigInvalid, UsageError } from './errors.ts'

/** What the value of an option must be, in words. */
const kinds = {
  boolean: 'true or false',
  function: 'a function',
  list: 'a list',
  number: 'a number of at least 0',
  signal: 'an AbortSignal',
  string: 'a text',
}

/** What an option must be: of a kind, or an object of options of its own; true: it is checked where it is used. */
type OptionKind = keyof typeof kinds | OptionNames | true

/** The kinds that an option of this type may be said to have: `'boolean'` is one for a boolean, `true` is not. */
type KindOf<T> = [T] extends [never]
  ? true
  : [T] extends [boolean]
    ? 'boolean'
    : [T] extends [(...given: never) => unknown]
      ? 'function'
      : [T] extends [number]
        ? 'number' | true
        : [T] extends [string]
          ? 'string' | true
          : OptionKind

/** Options by their names. */
export interface OptionNames extends ReadonlyMap<string, OptionKind> {}

/** The options of `T`: `optionNames<TaskOptions>({ signal: 'signal', timeoutMs: 'number', label: 'string' })`. */
export function optionNames<T>(names: {
  readonly [K in keyof Required<T>]: KindOf<Exclude<T[K], undefined>>
}): OptionNames {
  return new Map(Object.entries(names as Readonly<Record<string, OptionKind>>))
}

/** Checks the options of a call. @throws UsageError that names the wrong one, and those there are */
export function checkOptions(call: string, names: OptionNames, given: unknown): void {
  const fault = faultIn(call, names, given)
  if (!fault) return
  const { where, name, must, known } = fault
  if (name === undefined) throw new UsageError(`the options of ${where} are an object of ${known}`)
  throw new UsageError(must ? `${where}: ${name} must be ${must}` : `${where} has no option ${name}; it takes ${known}`)
}

/** Checks settings in the same way. @throws ConfigInvalid */
export function checkSettings(settings: string, names: OptionNames, given: unknown): void {
  const fault = faultIn(settings, names, given)
  if (!fault) return
  const { where, name, must, known } = fault
  if (name === undefined) throw new ConfigInvalid(`${where} needs an object of ${known}`)
  const wrong = must ? `${where}.${name} must be ${must}` : `unknown setting ${where}.${name}; known are ${known}`
  throw new ConfigInvalid(wrong)
}

/** On options that are accessors of a class of ours: names that are right, and must not be read for nothing. */
export const trustedOptions = Symbol('trusted options')

/** What is wrong: an option that is unknown, or is not what it must be; without a name, the object itself. */
interface OptionFault {
  readonly where: string
  /** Those there are. */
  readonly known: string
  readonly name?: string
  readonly must?: string
}

function faultIn(where: string, names: OptionNames, given: unknown): OptionFault | undefined {
  const fault = (what: Pick<OptionFault, 'name' | 'must'>) => ({ where, known: [...names.keys()].join(', '), ...what })
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return fault({})
  const trusted = (given as { readonly [trustedOptions]?: ReadonlySet<string> })[trustedOptions]
  // Inherited ones count as well.
  for (const name in given) {
    if (trusted?.has(name)) continue
    const kind = names.get(name)
    if (kind === undefined) return fault({ name })
    const value = (given as Readonly<Record<string, unknown>>)[name]
    if (value === undefined || kind === true) continue
    if (typeof kind === 'string') {
      if (!isOf(kind, value)) return fault({ name, must: kinds[kind] })
    } else {
      const inner = faultIn(`${where}.${name}`, kind, value)
      if (inner) return inner
    }
  }
  return undefined
}

function isOf(kind: keyof typeof kinds, value: unknown): boolean {
  if (kind === 'list') return Array.isArray(value)
  if (kind === 'signal') return value instanceof AbortSignal
  return typeof value === kind && (kind !== 'number' || Number(value) >= 0)
}
