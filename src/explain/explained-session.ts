/**
 * A session that takes the first statement it is given instead of sending it: so any call, whatever it is made with, tells
 * which statement it would send. Nothing that it is given ever reaches the server.
 */
import { UsageError } from '../errors.ts'
import type { CursorQuery, Schema } from '../drizzle/driver.ts'
import type { Result, StatementOptions } from '../pool/connection.ts'
import { TaskSession, type TransactionOptions } from '../session/session.ts'
import type { ExplainedStatement } from './explain-statement.ts'

class ExplainedSession<TSchema extends Schema> extends TaskSession<TSchema> {
  /** The first statement, once there is one. */
  statement: ExplainedStatement | undefined

  override run<T = Result>(text: string, parameters: readonly unknown[], { names }: StatementOptions = {}): Promise<T> {
    return this.#take({ text, parameters, names })
  }

  override track<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined)
    return work
  }

  /** The unit of work runs in this session: what it would begin is no statement to explain. */
  override async transaction<T, TGiven = TaskSession<TSchema>>(
    unitOfWork: (given: TGiven) => T | PromiseLike<T>,
    _options?: TransactionOptions,
    give: (nested: TaskSession<TSchema>) => TGiven = (nested) => nested as TGiven,
  ): Promise<Awaited<T>> {
    return await unitOfWork(give(this))
  }

  override async *batches<TRow>(render: () => CursorQuery<TRow>): AsyncGenerator<readonly TRow[], void, undefined> {
    yield await this.#take(render())
  }

  #take({ text, parameters, names }: ExplainedStatement): Promise<never> {
    this.statement ??= { text, parameters, names }
    const refused = Promise.reject(new UsageError('a call that is explained ends at its first statement'))
    // The task may have started it and wait for another one.
    refused.catch(() => undefined)
    return refused as Promise<never>
  }
}

/** The first statement that `call` sends in a session. @throws what it throws before it, UsageError if there is none */
export async function firstStatement<TSchema extends Schema, TSession>(
  session: TaskSession<TSchema>,
  call: (session: TSession) => unknown,
  give: (session: TaskSession<TSchema>) => TSession,
): Promise<ExplainedStatement> {
  const explained = session.beside(ExplainedSession<TSchema>)
  try {
    // What the function calls on the session around it would be done, and not explained.
    await session.whileRefusing(async () => {
      const answer = call(give(explained))
      await (isStream(answer) ? answer.next() : answer)
    })
  } catch (error) {
    if (!explained.statement) throw error
  } finally {
    explained.end()
  }
  if (explained.statement) return explained.statement
  throw new UsageError('explain was given a function that sends no statement: return the call that does')
}

function isStream(answer: unknown): answer is AsyncGenerator {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer && 'next' in answer
}
