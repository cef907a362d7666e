/**
 * The sinks of one engine. While there are none, `publish` is undefined, so that no event is built for nothing; some come
 * and go, such as a console that somebody looks at. A sink that throws harms no other.
 */
import type { Observer, Publish } from './observation.ts'

export class Observers {
  #sinks: readonly Observer[] = []
  readonly #broken = new WeakSet<Observer>()
  #publish: Publish

  constructor(...sinks: readonly Observer[]) {
    for (const sink of sinks) this.add(sink)
  }

  /** Hands an event to every sink; undefined while there are none. */
  get publish(): Publish {
    return this.#publish
  }

  /** Adds a sink; what is returned takes it away again. */
  add(sink: Observer): () => void {
    // One of its own for each call: a sink that is added twice is told twice, and taken away once.
    const observe: Observer = (observation) => this.#tell(sink, observation)
    this.#use([...this.#sinks, observe])
    return () => this.#use(this.#sinks.filter((each) => each !== observe))
  }

  #use(sinks: readonly Observer[]): void {
    this.#sinks = sinks
    const all = (observation: Parameters<Observer>[0]) => {
      for (const observe of sinks) observe(observation)
    }
    this.#publish = sinks.length === 0 ? undefined : sinks.length === 1 ? sinks[0] : all
  }

  #tell(sink: Observer, observation: Parameters<Observer>[0]): void {
    try {
      const answer: unknown = sink(observation)
      if (answer instanceof Promise) answer.catch((error: unknown) => this.#warn(sink, error))
    } catch (error) {
      this.#warn(sink, error)
    }
  }

  /** A broken sink must not break a session, but must not go unseen either: one warning a sink. */
  #warn(sink: Observer, error: unknown): void {
    if (this.#broken.has(sink)) return
    this.#broken.add(sink)
    process.emitWarning(`an observer threw: ${error instanceof Error ? error.message : String(error)}`)
  }
}
