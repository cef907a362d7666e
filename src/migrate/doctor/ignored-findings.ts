/**
 * Findings that somebody has accepted, each with the reason, in the words of lint's comments: `RULE: REASON` or
 * `RULE OBJECT: REASON`.
 */
import { UsageError } from '../../errors.ts'
import { checkOptions, optionNames } from '../../option-names.ts'

/** A rule that is not to be heeded. */
export interface AcceptedFinding {
  readonly rule: string
  /** The object, or its table, as findings name it: `public.orders`. Default: everything. */
  readonly object?: string | undefined
  /** Why it is accepted, for later readers. */
  readonly reason: string
}

const acceptedNames = optionNames<AcceptedFinding>({ rule: 'string', object: 'string', reason: 'string' })

/** @throws UsageError */
export function checkAccepted(accepted: readonly AcceptedFinding[], rules: readonly string[]): void {
  if (!Array.isArray(accepted)) throw new UsageError('ignore takes a list of { rule, object, reason }')
  for (const each of accepted as readonly AcceptedFinding[]) {
    checkOptions('one of ignore', acceptedNames, each)
    if (!rules.includes(each.rule))
      throw new UsageError(`the doctor has no rule ${each.rule}; it has ${rules.join(', ')}`)
    if (!each.reason?.trim()) throw new UsageError(`ignoring ${each.rule} needs a reason`)
  }
}

/** Reads what a person writes. @throws UsageError */
export function readAccepted(text: string): AcceptedFinding {
  // A quoted name may have any characters; a name may be quoted in parts: public."My Orders".
  const [, rule, object, reason] = /^\s*([\w-]+)(?:\s+((?:"(?:[^"]|"")*"|[^\s":])+))?\s*:\s*(\S[^]*)$/.exec(text) ?? []
  if (rule === undefined || reason === undefined) {
    throw new UsageError(
      `${JSON.stringify(text)} ignores nothing: write 'RULE: REASON' or 'RULE OBJECT: REASON', with the object as findings ` +
        'name it',
    )
  }
  return { rule, ...(object === undefined ? {} : { object }), reason: reason.trim() }
}
