/**
 * Who a request is. The application's `identity` function is asked at most once a request, and only when something needs to
 * know: a health check or the document never waits for it. Every route gets its engine from `requestEngine`, those of a
 * domain as those of resources, so that row-level security sees the same person everywhere.
 */
import type { Context } from 'hono'
import type { Engine } from '../engine.ts'
import { UsageError } from '../errors.ts'
import type { Environment } from './front.ts'

/**
 * The engine under the identity of the request, for every call that a handler makes; without an `identity` function the
 * engine as it is: `const own = await requestEngine(context, engine)`. @throws what the identity function throws;
 * UsageError for the context of another application, or where that function returns no identity.
 */
export async function requestEngine<TSchema extends Record<string, unknown>>(
  context: Context<Environment>,
  engine: Engine<TSchema>,
): Promise<Engine<TSchema>> {
  // Its front gives every request a deadline.
  const known = context?.get?.('deadline') as Environment['Variables']['deadline'] | undefined
  if (!known) throw new UsageError('requestEngine takes the context of a route of createApp, which knows who asks')
  const identity = await context.get('identity')?.()
  return identity === undefined ? engine : engine.as(identity)
}

/** Does the same for work that begins at once where nobody has to be asked: a promise costs. */
export function withRequestEngine<T>(
  context: Context<Environment>,
  engine: Engine,
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const identify = context.get('identity')
  return identify ? identify().then((identity) => work(engine.as(identity))) : work(engine)
}
