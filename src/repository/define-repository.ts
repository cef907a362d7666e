/**
 * Domain repositories: a table's operations with further methods, as a function of the session.
 *
 *   const customersOf = defineRepository(customers, (base) => ({ byName: (name: string) => base.find({ name }) }))
 *   const lynn = await engine.session((session) => customersOf(session).byName('Lynn'))
 */
import { UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import type { Schema } from '../drizzle/driver.ts'
import { isSource, type Source } from './types/conventions.ts'
import type { RepositoryOf } from './types/operations.ts'
import { TableRepository } from './table-repository.ts'
import type { RepositoryRunner } from './query/repository-runner.ts'
import { type AnySession, type Session, taskSessionOf } from './session.ts'
import type { Extended } from './types/table-types.ts'
import { planOf, type TablePlan } from './query/table-plan.ts'

/** Options of `defineRepository`. */
export interface DefineOptions<TSchema extends Schema> {
  /** The schema of the engine, for the types of `with` and of the session; only its type is used. */
  readonly schema?: TSchema
}

const defineOptions = optionNames<DefineOptions<Schema>>({ schema: true })

/**
 * Defines a repository of `source` with further methods, which see the table's operations as `base` and their session.
 * A method named like an operation takes its place; `base` keeps the original. The methods may be those of a class.
 */
export function defineRepository<TSource extends Source, TExtras extends object, TSchema extends Schema = Schema>(
  source: TSource,
  extras: (base: RepositoryOf<TSource, TSchema>, session: Session<TSchema>) => TExtras,
  options: DefineOptions<TSchema> = {},
): (session: AnySession) => Extended<RepositoryOf<TSource, TSchema>, TExtras> {
  if (!isSource(source) || typeof extras !== 'function') {
    throw new UsageError('defineRepository takes a table or view and a function of its repository: (base) => ({ … })')
  }
  checkOptions('defineRepository', defineOptions, options)
  let known: DomainClass | undefined
  return (session) => {
    const task = taskSessionOf(session)
    const plan = planOf(task.drizzle, source)
    const base = new TableRepository(task, plan) as unknown as RepositoryOf<TSource, TSchema>
    const own = extras(base, session as unknown as Session<TSchema>) as Methods
    // The class is made once, because the methods of all sessions have the same names unless `extras` chooses between
    // several.
    if (!known || !isOf(known, own)) known = domainClass(own)
    return new known.Domain(task, plan, own) as never
  }
}

/** The result of `extras`: an object of methods, or an instance of a class with them. */
type Methods = Readonly<Record<string, unknown>>

class DomainRepository extends TableRepository {
  readonly #methods: Methods

  constructor(runner: RepositoryRunner, plan: TablePlan, methods: Methods) {
    super(runner, plan)
    this.#methods = methods
  }

  static methodsOf(domain: DomainRepository): Methods {
    return domain.#methods
  }
}

/**
 * A class of repositories whose methods have these names: own properties, and methods from the prototypes of a class.
 */
interface DomainClass {
  readonly Domain: typeof DomainRepository
  readonly names: readonly string[]
  readonly inherited: readonly string[]
  readonly prototype: unknown
}

function domainClass(own: Methods): DomainClass {
  const Domain = class extends DomainRepository {}
  const names = Object.keys(own)
  const inherited = inheritedNames(own)
  for (const name of names) define(Domain, name, (methods) => methods[name])
  for (const name of inherited) {
    define(Domain, name, (methods) => {
      const value = methods[name]
      // In a method of a class, `this` is the instance.
      return typeof value === 'function' ? (value.bind(methods) as unknown) : value
    })
  }
  return { Domain, names, inherited, prototype: Object.getPrototypeOf(own) }
}

function isOf({ names, inherited, prototype }: DomainClass, own: Methods): boolean {
  if (!equal(names, Object.keys(own))) return false
  // A class that is declared within `extras` is another one each time.
  return Object.getPrototypeOf(own) === prototype || equal(inherited, inheritedNames(own))
}

function equal(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((name, index) => name === others[index])
}

/** The methods and getters of a class, which are on its prototypes. */
function inheritedNames(own: Methods): string[] {
  const names = new Set<string>()
  let from = Object.getPrototypeOf(own) as object | null
  for (; from && from !== Object.prototype; from = Object.getPrototypeOf(from) as object | null) {
    for (const name of Object.getOwnPropertyNames(from)) names.add(name)
  }
  return [...names].filter((name) => name !== 'constructor' && !Object.hasOwn(own, name))
}

/** Defines a getter, as operations are; a test may replace the method. */
function define(Domain: typeof DomainRepository, name: string, read: (methods: Methods) => unknown): void {
  Object.defineProperty(Domain.prototype, name, {
    get(this: DomainRepository) {
      return read(DomainRepository.methodsOf(this))
    },
    set(this: DomainRepository, value: unknown) {
      Object.defineProperty(this, name, { value, enumerable: true, configurable: true, writable: true })
    },
    enumerable: true,
    configurable: true,
  })
}
