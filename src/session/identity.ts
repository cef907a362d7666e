/**
 * Who the server takes a session for, so that row-level security sees who asks. An identity is checked when it is given,
 * and put on by parameters in the round trip of BEGIN; should that fail, nothing of the session runs.
 * It is meant for code that can be trusted: SQL that a task writes itself can put the identity off again (RESET ROLE).
 * https://www.postgresql.org/docs/current/ddl-rowsecurity.html
 */
import { InsufficientPrivilege, InvalidInput, UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import { isPlain } from '../values/plain-object.ts'
import type { DeferredStep } from '../lease/open-transaction.ts'

/** A role, settings, or both. */
export interface Identity {
  /** The role to act as; the login role must be a member of it. Default: the login role itself. */
  readonly role?: string | undefined
  /** Transaction-local settings such as `request.user_id`, read in policies with current_setting(name, true). */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

const identityNames = optionNames<Identity>({ role: true, settings: true })

/** Puts `own` over `base`: its role, if it names one, and its settings; the rest of `base` stays. */
export function mergeIdentities(base: Identity | undefined, own: Identity | undefined): Identity | undefined {
  if (!base || !own) return own ?? base
  return { role: own.role ?? base.role, settings: { ...base.settings, ...own.settings } }
}

/**
 * @throws UsageError for what is no identity, or names neither a role nor a setting: it would protect nothing; InvalidInput
 * for a value that cannot be stored.
 */
export function checkIdentity(identity: Identity): void {
  if (typeof identity !== 'object' || identity === null) throw new UsageError('an identity is { role, settings }')
  // A misspelt role would leave the login role in force.
  checkOptions('an identity', identityNames, identity)
  const { role, settings = {} } = identity
  if (!isPlain(settings)) throw new UsageError('the settings of an identity are an object of names and strings')
  if (!('role' in identity) && Object.keys(settings).length === 0) {
    throw new UsageError('an identity names a role, settings, or both: an empty one would protect nothing')
  }
  if ('role' in identity) checkRole(role)
  for (const [name, value] of Object.entries(settings)) {
    if (!/^[a-z_][\w$]*(?:\.[a-z_][\w$]*)+$/i.test(name)) {
      throw new UsageError(`a setting needs a name with a prefix, such as request.user_id, not ${JSON.stringify(name)}`)
    }
    if (typeof value !== 'string') throw new UsageError(`the value of the setting ${name} must be a string`)
    if (!isStorable(value)) {
      const message = `the value of the setting ${name} must be text that PostgreSQL can store`
      throw new InvalidInput(message, { path: ['settings', name] })
    }
  }
}

function checkRole(role: unknown): void {
  if (typeof role === 'string' && isStorable(role) && role !== '' && role !== 'none') return
  throw new UsageError("the role of an identity must be the name of a role; leave it out to stay the login role's")
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/** The statement that puts a checked identity on, values as parameters. */
export function identityStatement({ role, settings = {} }: Identity): DeferredStep {
  const entries = [...Object.entries(settings), ...(role === undefined ? [] : [['role', role] as const])]
  const calls = entries.map((_, index) => `set_config($${index * 2 + 1}, $${index * 2 + 2}, true)`)
  const step = { text: `select ${calls.join(', ')}`, parameters: entries.flat() }
  return role === undefined ? step : { ...step, told: (reason: unknown) => refusedRole(role, reason) }
}

/**
 * Who chose the role may know its name, which the server's message has from a parameter, so that it is blanked. A server
 * that speaks another language than English is taken at its word.
 */
function refusedRole(role: string, reason: unknown): unknown {
  if (reason instanceof InvalidInput && reason.message.startsWith('role ')) {
    return new UsageError(`the role ${JSON.stringify(role)} of the identity does not exist`, { cause: reason.cause })
  }
  if (reason instanceof InsufficientPrivilege && reason.message.includes('set role')) {
    const message = `the login role may not act as ${JSON.stringify(role)}: make it a member of that role (GRANT)`
    return new InsufficientPrivilege(message, { cause: reason.cause, sqlState: reason.sqlState })
  }
  return reason
}
