/**
 * The time of day in milliseconds with their fractions, so that a statement of 0.2 ms lies inside the span of its task. It
 * runs by the monotonic clock and follows the clock of the system, which may be set, in steps.
 */
const furthestMs = 2

export class EpochClock {
  #origin = performance.timeOrigin

  now(): number {
    const now = this.#origin + performance.now()
    const system = Date.now()
    if (Math.abs(system - now) <= furthestMs) return now
    this.#origin += system - now
    return system
  }
}
