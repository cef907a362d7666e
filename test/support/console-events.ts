/** What the console of a service sends to a page, without a browser. */
import type { ConsoleState } from '../../src/console/console-watch.ts'

/** A page that looks; close it. */
export class ConsoleViewer implements AsyncDisposable {
  readonly #controller = new AbortController()
  readonly #states: ReadableStreamDefaultReader<string>
  #text = ''
  #all: ConsoleState[] = []

  constructor(answer: Response, controller: AbortController) {
    this.#controller = controller
    this.#states = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  }

  static async open(url: string): Promise<ConsoleViewer> {
    const controller = new AbortController()
    const answer = await fetch(`${url}/console/events`, { signal: controller.signal })
    if (!answer.ok) throw new Error(`the console answers ${answer.status}`)
    return new ConsoleViewer(answer, controller)
  }

  /** The next state there is; undefined at the end. */
  async next(): Promise<ConsoleState | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end >= 0) {
        const state = JSON.parse(this.#text.slice('data: '.length, end)) as ConsoleState
        this.#text = this.#text.slice(end + 2)
        this.#all.push(state)
        return state
      }
      const { done, value } = await this.#states.read()
      if (done) return undefined
      this.#text += value
    }
  }

  /** The first state for which this holds. */
  async until(holds: (state: ConsoleState) => boolean): Promise<ConsoleState> {
    for (;;) {
      const state = await this.next()
      if (!state) throw new Error('the console has ended')
      if (holds(state)) return state
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort()
    await this.#states.cancel().catch(() => undefined)
  }
}
