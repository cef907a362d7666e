/**
 * Map: one task an item, a bounded number at a time, results as an async iterable.
 *
 * At most `concurrency` items are taken from the input and not yet handed to the consumer, running or finished: the
 * input is read no faster than the consumer reads results, so any number of items takes the memory of a few. No more of
 * them run at once than the pool has connections, so a map never fails by its own queueing. Leaving the loop early, or
 * a failure, cancels what runs and lets go of the input, without waiting for it.
 */
import { Cancelled, DeadlineExceeded, isPoolRefusal, UsageError } from '../errors.ts'
import { type CancelReason, Scope, type TaskOptions } from '../task/scope.ts'
import { optionNames } from '../option-names.ts'
import { taskOptionNames } from '../session/options.ts'
import { captureTrace, currentOf, runTask, type Running, type Runtime, type Trace } from '../session/run-task.ts'
import type { Identity } from '../session/identity.ts'

/** Options of map. */
export interface MapOptions extends TaskOptions {
  /** The most items under way at once; no more of them run than `pool.max`. At least 1; default 8. */
  readonly concurrency?: number | undefined
  /** True: results in the order of the input. False: as they come. Default true. */
  readonly ordered?: boolean | undefined
}

/** The options of `map`. */
export const mapOptions = optionNames<MapOptions>({ ...taskOptionNames, concurrency: true, ordered: 'boolean' })

/** What `map` runs for each item. */
export type ItemTask<TSession, TItem, T> = (session: TSession, item: TItem, index: number) => T | PromiseLike<T>

type ItemOutcome<T> = { readonly value: T } | { readonly error: unknown }

/** Yields the result of `task` for every item. */
export function map<TSession, TItem, T>(
  runtime: Runtime<TSession>,
  items: Iterable<TItem> | AsyncIterable<TItem>,
  task: ItemTask<TSession, TItem, T>,
  options: MapOptions,
  identity: Identity | undefined,
): AsyncGenerator<Awaited<T>, void, undefined> {
  const { concurrency = 8, ordered = true } = options
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new UsageError('concurrency must be a whole number of at least 1')
  }
  if (typeof task !== 'function') throw new UsageError('map takes items and a function of (session, item, index)')
  // The scope and the lease are those of the caller, not of the code that reads the results.
  const parent = currentOf(runtime)
  const trace = captureTrace(runtime, map)
  return new Mapping(runtime, iteratorOf(items), task, {
    concurrency,
    ordered,
    options,
    identity,
    parent,
    trace,
  }).results()
}

interface MappingOptions {
  readonly concurrency: number
  readonly ordered: boolean
  readonly options: MapOptions
  readonly identity: Identity | undefined
  readonly parent: Running | undefined
  readonly trace: Trace | undefined
}

class Mapping<TSession, TItem, T> {
  readonly #runtime: Runtime<TSession>
  readonly #items: Iterator<TItem> | AsyncIterator<TItem>
  readonly #task: ItemTask<TSession, TItem, T>
  readonly #options: MappingOptions
  /** The most tasks at once. */
  readonly #lanes: number
  /** Finished items the consumer has not taken, by their place in the output. */
  readonly #finished = new Map<number, ItemOutcome<Awaited<T>>>()
  #started = 0
  #done = 0
  #taken = 0
  /** Tasks that run or wait in the pool's queue. */
  #active = 0
  /** True once the input has ended, has failed, or has been let go. */
  #exhausted = false
  #failure: { readonly error: unknown } | undefined
  readonly #waiting: (() => void)[] = []

  constructor(
    runtime: Runtime<TSession>,
    items: Iterator<TItem> | AsyncIterator<TItem>,
    task: ItemTask<TSession, TItem, T>,
    options: MappingOptions,
  ) {
    this.#runtime = runtime
    this.#items = items
    this.#task = task
    this.#options = options
    // More tasks than connections would only fill the pool's queue.
    this.#lanes = Math.min(options.concurrency, runtime.pool.max)
  }

  async *results(): AsyncGenerator<Awaited<T>, void, undefined> {
    const { options, parent } = this.#options
    const scope = new Scope(options, parent?.scope)
    const running = new Set<Promise<void>>()
    const unwatch = scope.onCancel(() => this.#changed())
    void this.#pump(scope, running)
    try {
      for (;;) {
        const outcome = this.#finished.get(this.#taken)
        if (outcome) {
          this.#finished.delete(this.#taken)
          this.#taken += 1
          this.#changed()
          if ('error' in outcome) throw outcome.error
          yield outcome.value
        } else if (this.#failure) throw this.#failure.error
        else if (this.#taken < this.#started) await this.#change()
        else if (this.#exhausted) return
        else if (scope.reason) throw cancelledBetweenItems(scope.reason)
        else await this.#change()
      }
    } finally {
      unwatch()
      scope.cancel(new Cancelled('the results of map are no longer wanted'))
      if (!this.#exhausted) void this.#letGo()
      this.#changed()
      await Promise.all(running)
      scope.close()
    }
  }

  /** Reads the input and starts tasks, never more than `concurrency` ahead of the consumer. */
  async #pump(scope: Scope, running: Set<Promise<void>>): Promise<void> {
    try {
      while (!this.#exhausted) {
        const ahead = this.#started - this.#taken
        if (ahead >= this.#options.concurrency || this.#started - this.#done >= this.#lanes) {
          await this.#change()
          continue
        }
        const next = await this.#items.next()
        if (this.#exhausted) return
        if (next.done === true) {
          this.#exhausted = true
          this.#changed()
          return
        }
        const work = this.#run(next.value, this.#started++, scope).finally(() => running.delete(work))
        running.add(work)
      }
    } catch (error) {
      this.#failure ??= { error }
      this.#exhausted = true
      this.#changed()
    }
  }

  /**
   * Tells the input that nothing more is read, also while it is asked for its next item, and does not wait: an input
   * that never answers must not hold up a reader who has left, and the reader does not hear of its failures.
   */
  async #letGo(): Promise<void> {
    this.#exhausted = true
    try {
      await this.#items.return?.()
    } catch {
      // The reader has left.
    }
  }

  async #run(item: TItem, index: number, scope: Scope): Promise<void> {
    let outcome: ItemOutcome<Awaited<T>>
    try {
      outcome = { value: await this.#resultOf(item, index, scope) }
    } catch (error) {
      outcome = { error }
    }
    // As they come: the next free place. In order: the item's own.
    this.#finished.set(this.#options.ordered ? index : this.#done, outcome)
    this.#done += 1
    this.#changed()
  }

  /**
   * Runs the task of one item. If the pool has no connection for it while others of this map have theirs, it asks again
   * when one of them has ended: a map must not fail by tasks of its own. The last one has to.
   */
  async #resultOf(item: TItem, index: number, scope: Scope): Promise<Awaited<T>> {
    const { options, identity, parent, trace } = this.#options
    const { label = 'map' } = options
    let begun = false
    const task = (session: TSession) => {
      begun = true
      return this.#task(session, item, index)
    }
    for (;;) {
      const before = this.#done
      this.#active += 1
      try {
        return await runTask(this.#runtime, task, { scope, label, identity, trace, parent: parent?.lease })
      } catch (error) {
        if (begun || !isPoolRefusal(error) || this.#active === 1) throw error
      } finally {
        this.#active -= 1
      }
      while (this.#done === before && !scope.reason) await this.#change()
    }
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves at the next change of state. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

/** The error when time is up, or the caller cancels, while no task runs: the input has not answered. */
function cancelledBetweenItems(reason: CancelReason): Error {
  if (reason.kind === 'cancelled') return reason.error
  const { timeoutMs } = reason.deadline
  return new DeadlineExceeded(`the deadline of ${timeoutMs} ms passed while map waited for its input`, {
    phase: 'task',
    spentMs: { task: timeoutMs },
  })
}

function iteratorOf<TItem>(items: Iterable<TItem> | AsyncIterable<TItem>): Iterator<TItem> | AsyncIterator<TItem> {
  const source = items as Partial<Iterable<TItem> & AsyncIterable<TItem>> | null | undefined
  const iterator = source?.[Symbol.asyncIterator]?.() ?? source?.[Symbol.iterator]?.()
  if (!iterator) throw new UsageError('map takes an iterable or async iterable of items')
  return iterator
}
