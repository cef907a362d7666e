/** Which applications know who asks: those are served to other machines, all others have to be told to be. */
const asking = new WeakSet<object>()

/** Says of an application that its routes know who asks. */
export function markAsking(app: object): void {
  asking.add(app)
}

/** True for an application whose routes know who asks: one that was given an `identity`. */
export function asksWho(app: object): boolean {
  return asking.has(app)
}
