/**
 * Tells a burst from lasting overload by the time calls spend in the queue: when even the luckiest call of a whole
 * interval waited longer than the target, the queue no longer empties and everything in it is late.
 * CoDel, "Controlling Queue Delay" (https://queue.acm.org/detail.cfm?id=2209336), as DBConnection applies it to pools.
 */

/** Milliseconds a call may wait in a healthy queue. */
const targetMs = 50
/** Milliseconds for which every call must have waited longer. */
const intervalMs = 200
/** How much one observation weighs in the estimate of how long a connection is held. */
const weight = 0.05

/** Estimates are of the mean; a call that is cut short costs its connection, so it must have time to spare. */
const margin = 2

export class OverloadWatch {
  /** True while the queue has not been short for a whole interval. */
  overloaded = false
  /** Milliseconds a connection is held by one session, smoothed. */
  heldMs = 0
  /** Milliseconds between two calls leaving the queue for a connection, smoothed: what replacing connections costs included. */
  #servedEveryMs = 0
  #lastServedAt = 0
  /** Since when every call has waited too long. */
  #lateSince: number | undefined

  /** Records how long a served call had waited; returns whether the state changed. */
  waited(waitMs: number, now: number): boolean {
    if (waitMs <= targetMs) {
      this.#lateSince = undefined
      return this.#become(false)
    }
    // A pause of this process, or a quiet time, is no interval of lateness: it begins with the first late call.
    this.#lateSince ??= now
    return now - this.#lateSince >= intervalMs && this.#become(true)
  }

  /** Records how long a session held its connection. */
  held(heldMs: number): void {
    this.heldMs = smoothed(this.heldMs, heldMs)
  }

  /** Records that a call left the queue for a connection; `left` others still wait. */
  served(now: number, left: number): void {
    if (this.#lastServedAt > 0) this.#servedEveryMs = smoothed(this.#servedEveryMs, now - this.#lastServedAt)
    // With an empty queue, the time until the next call says nothing about how quickly calls are served.
    this.#lastServedAt = left > 0 ? now : 0
  }

  /** True when a call that joins `waiting` others would hardly be done within `patienceMs`; only under overload. */
  inVain(waiting: number, connections: number, patienceMs: number): boolean {
    if (!this.overloaded) return false
    const each = Math.max(this.heldMs / Math.max(1, connections), this.#servedEveryMs)
    return ((waiting + 1) * each + this.heldMs) * margin > patienceMs
  }

  /** True when a call with this much time left would hardly finish: its connection would be spent on nothing. */
  tooLate(remainingMs: number): boolean {
    return this.overloaded && remainingMs < this.heldMs * margin
  }

  #become(overloaded: boolean): boolean {
    const changed = this.overloaded !== overloaded
    this.overloaded = overloaded
    return changed
  }
}

function smoothed(mean: number, value: number): number {
  return mean === 0 ? value : mean + (value - mean) * weight
}
