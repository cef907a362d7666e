/**
 * What a transaction of a sandbox has set, in order, as far as it still holds: the work of others in between has it put in
 * force anew. A return to a savepoint takes back what was set since; at COMMIT the session keeps what is not local.
 */
import { statementTraits } from '../lease/statement-traits.ts'
import type { Step } from '../pool/batch.ts'

export class FrameSettings implements Iterable<Step> {
  readonly #steps: Step[] = []
  /** How many there were when a savepoint was set. */
  readonly #savepoints = new Map<string, number>()

  /** A statement is sent in the transaction, or has run there. */
  add(step: Step): void {
    const [, kind, savepoint = ''] = /^(savepoint|rollback to savepoint) (\w+)/.exec(step.text) ?? []
    if (kind === 'savepoint') this.#savepoints.set(savepoint, this.#steps.length)
    else if (kind !== undefined) this.#steps.length = this.#savepoints.get(savepoint) ?? 0
    else if (setting.test(step.text)) this.#steps.push(step)
    else if (setConfig.test(step.text)) this.#steps.push(...repeatable(step))
  }

  /** What lasts as long as the session. */
  get lasting(): readonly Step[] {
    return this.#steps.filter((step) => !isLocal(step))
  }

  [Symbol.iterator](): Iterator<Step> {
    return this.#steps.values()
  }
}

const setting = /^(?:\s|;|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:reset\b|set\s+(?!transaction\b|constraints\b))/i
const setConfig = /\bset_config\b/i
const plainCall = /\bset_config\s*\((?:\s*(?:'[^']*'|\$\d+)(?:::\w+)?\s*,){2}\s*(?:true|false|\$\d+(?:::\w+)?)\s*\)/gi

/**
 * What is run again to set the same: a SELECT as it is; of what may write only the calls, where they have no more than
 * literals and parameters in them.
 */
function repeatable(step: Step): readonly Step[] {
  if (statementTraits(step.text).kind === 'read') return [step]
  return Array.from(step.text.matchAll(plainCall), ([call]) => {
    const parameters: string[] = []
    const text = call.replaceAll(/\$(\d+)/g, (_, n) => `$${parameters.push(step.parameters?.[Number(n) - 1] ?? '')}`)
    return { text: `select ${text}`, parameters }
  })
}

/** Of `set_config` the last argument says so, which may be a parameter. */
function isLocal({ text, parameters = [] }: Step): boolean {
  if (!setConfig.test(text)) return statementTraits(text).localSet
  const given = text.replaceAll(/\$(\d+)/g, (slot, n) => (parameters[Number(n) - 1] === 'true' ? 'true' : slot))
  return !statementTraits(given).lastingEffect
}
