/**
 * Tells a burst from lasting overload by the time calls spend in the queue: when even the luckiest call of a whole
 * interval waited longer than the target, the queue no longer empties and everything in it is late.
 * CoDel, "Controlling Queue Delay" (https://queue.acm.org/detail.cfm?id=2209336), as DBConnection applies it to pools.
 */

/** Milliseconds a call may wait in a healthy queue. */
const targetMs = 50
/** Milliseconds over which the least wait is taken. */
const intervalMs = 500
/** How much one observation weighs in the estimate of how long a connection is held. */
const weight = 0.05

export class OverloadWatch {
  /** True while the queue has not been short for a whole interval. */
  overloaded = false
  /** Milliseconds a connection is held by one session, smoothed. */
  heldMs = 0
  #leastMs = Infinity
  #intervalEndsAt = 0

  /** Records how long a served call had waited; answers whether the state changed. */
  waited(waitMs: number, now: number): boolean {
    this.#leastMs = Math.min(this.#leastMs, waitMs)
    if (waitMs <= targetMs) return this.#become(false, now)
    if (now < this.#intervalEndsAt) return false
    const late = this.#intervalEndsAt > 0 && this.#leastMs > targetMs
    this.#intervalEndsAt = now + intervalMs
    this.#leastMs = Infinity
    return late && this.#become(true, now)
  }

  /** Records how long a session held its connection. */
  held(heldMs: number): void {
    this.heldMs = this.heldMs === 0 ? heldMs : this.heldMs + (heldMs - this.heldMs) * weight
  }

  /** Milliseconds until a call that joins `waiting` others has been served by one of `connections`. */
  estimateMs(waiting: number, connections: number): number {
    return ((waiting + 1) * this.heldMs) / Math.max(1, connections) + this.heldMs
  }

  #become(overloaded: boolean, now: number): boolean {
    if (!overloaded) {
      this.#intervalEndsAt = now + intervalMs
      this.#leastMs = Infinity
    }
    const changed = this.overloaded !== overloaded
    this.overloaded = overloaded
    return changed
  }
}
