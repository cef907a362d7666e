/**
 * What a deadlock teaches a pool: how deep its users nest sessions. While that is remembered, calls further out leave
 * enough connections alone for those further in, so that every chain of sessions can reach its end and none has to be
 * refused: a call at level k of d goes on only if d - k connections are left behind it. The idea, never to give away
 * what another call needs to finish, is the banker's algorithm: https://www.cs.utexas.edu/~EWD/ewd01xx/EWD108.PDF
 *
 *   unknown ──deadlock──▶ known ──no nested call for a second──▶ unknown
 *
 * It costs nothing before the first deadlock, and later a place or two for calls that hold no connection.
 */

/** Milliseconds after the last nested call in which the lesson is remembered. */
const memoryMs = 1000

export class Reserve {
  readonly #forgotten: () => void
  #depth = 1
  #timer: NodeJS.Timeout | undefined

  /** `forgotten` is called when calls need not leave connections alone any more. */
  constructor(forgotten: () => void) {
    this.#forgotten = forgotten
  }

  get active(): boolean {
    return this.#timer !== undefined
  }

  /** A deadlock was met by calls `depth` deep. */
  learn(depth: number): void {
    this.#depth = Math.max(this.#depth, depth)
    this.#timer ??= setTimeout(() => {
      this.forget()
      this.#forgotten()
    }, memoryMs)
    this.#timer.unref()
    this.nested()
  }

  /** A nested call was made. */
  nested(): void {
    this.#timer?.refresh()
  }

  forget(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#depth = 1
  }

  /** True when a call at `level` leaves enough of `limit` connections alone, `leased` of which are in use. */
  allows(level: number, leased: number, limit: number): boolean {
    const behind = Math.min(this.#depth, limit) - level
    return behind <= 0 || leased + behind < limit
  }
}
