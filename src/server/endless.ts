/** Answers that have no end of their own, such as streams of events: a server that closes waits for none of them. */

const endless = new WeakSet<object>()

/** Marks one by its `outgoing`, which a Hono handler has in `context.env`. */
export function markEndless(outgoing: object): void {
  endless.add(outgoing)
}

export function isEndless(outgoing: object): boolean {
  return endless.has(outgoing)
}
