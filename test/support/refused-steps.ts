/**
 * Makes the server refuse chosen statements of ours on their way through the fault proxy: the text of a statement that
 * matches is replaced by one that fails, so that the server itself does what it does after an error. Once armed it
 * refuses the next match, and disarms.
 */
import type { FaultProxy, Link } from './fault-proxy.ts'

/** Fails when it is run, as a statement does that an operator cancels. */
const cancelled = `do $$ begin raise exception 'canceling statement' using errcode = 'query_canceled'; end $$`
/** Fails when it is parsed: for statements with parameters, whose Bind would not fit another text. */
const unparsable = 'refused'

export class RefusedSteps {
  /** Statements refused so far. */
  count = 0
  #pattern: RegExp | undefined

  constructor(proxy: FaultProxy) {
    const watch = (link: Link) => {
      link.tap = (chunk, from) => (from === 'client' && this.#pattern ? this.#rewrite(chunk) : chunk)
    }
    proxy.onLink = watch
    for (const link of proxy.openLinks) watch(link)
  }

  /** Refuses the next statement whose text matches. */
  arm(pattern: RegExp): void {
    this.#pattern = pattern
  }

  disarm(): void {
    this.#pattern = undefined
  }

  /** Our statements are small: each message comes whole in one chunk. */
  #rewrite(chunk: Buffer): Buffer {
    const out: Buffer[] = []
    for (let at = 0; at + 5 <= chunk.length;) {
      const end = at + 1 + chunk.readInt32BE(at + 1)
      out.push(this.#message(chunk.subarray(at, end)))
      at = end
    }
    return Buffer.concat(out)
  }

  #message(message: Buffer): Buffer {
    const type = String.fromCharCode(message[0] ?? 0)
    if (type !== 'Q' && type !== 'P') return message
    // Parse: the statement's name, its text, the types of its parameters. Query: the text.
    const start = type === 'P' ? message.indexOf(0, 5) + 1 : 5
    const stop = message.indexOf(0, start)
    const text = message.toString('utf8', start, stop)
    if (!this.#pattern?.test(text)) return message
    this.#pattern = undefined
    this.count += 1
    const other = Buffer.from(text.includes('$1') ? unparsable : cancelled)
    const changed = Buffer.concat([message.subarray(0, start), other, message.subarray(stop)])
    changed.writeInt32BE(changed.length - 1, 1)
    return changed
  }
}
