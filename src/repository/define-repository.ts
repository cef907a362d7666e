/**
 * Domain repositories: a table's operations and methods of the user's own, as a function of the session.
 *
 *   const customersOf = defineRepository(customers, (base) => ({ byName: (name: string) => base.find({ name }) }))
 *   const lynn = await engine.session((session) => customersOf(session).byName('Lynn'))
 */
import type { Schema } from '../session/drizzle.ts'
import type { Source } from './conventions.ts'
import type { RepositoryOf } from './operations.ts'
import { createRepository } from './repository.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import type { RepositorySession } from './repository-session.ts'
import type { Extended } from './row.ts'

/** Options of `defineRepository`. */
export interface DefineOptions<TSchema extends Schema> {
  /** The schema of the engine, for the types of `with` and of the session; only its type is used. */
  readonly schema?: TSchema
}

/**
 * Defines a repository of `source` with further methods, which see the table's operations as `base` and their session.
 * A method named like an operation takes its place; `base` keeps the original. The methods may be those of a class.
 */
export function defineRepository<TSource extends Source, TExtras extends object, TSchema extends Schema = Schema>(
  source: TSource,
  extras: (base: RepositoryOf<TSource, TSchema>, session: RepositorySession<TSchema>) => TExtras,
  _options?: DefineOptions<TSchema>,
): (session: RepositoryRunner) => Extended<RepositoryOf<TSource, TSchema>, TExtras> {
  return (session) => {
    const base = createRepository<TSource, TSchema>(session, source)
    const own = extras(base, session as unknown as RepositorySession<TSchema>) as Record<string, unknown>
    const domain = createRepository<TSource, TSchema>(session, source)
    // Defined, not assigned: an operation is a getter, which has no place for another method.
    for (const name of Object.keys(own)) {
      Object.defineProperty(domain, name, { value: own[name], enumerable: true, configurable: true, writable: true })
    }
    defineInherited(domain, own)
    return domain as never
  }
}

/** Methods and getters of a class, which belong to its prototypes; `this` is the object that was made of it. */
function defineInherited(domain: object, own: Record<string, unknown>): void {
  const taken = new Set(['constructor', ...Object.keys(own)])
  let from: object | null = Object.getPrototypeOf(own) as object | null
  for (; from && from !== Object.prototype; from = Object.getPrototypeOf(from) as object | null) {
    for (const name of Object.getOwnPropertyNames(from)) {
      if (taken.has(name)) continue
      taken.add(name)
      const get = () => {
        const value = own[name]
        return typeof value === 'function' ? (value.bind(own) as unknown) : value
      }
      Object.defineProperty(domain, name, { get, enumerable: true, configurable: true })
    }
  }
}
