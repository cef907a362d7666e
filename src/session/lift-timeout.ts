/**
 * A deadline leaves its statement_timeout on the server session, because the next call often has the same one. Neither
 * BEGIN, which guards what follows, nor anybody who has more time may run under it: it is lifted first, and waited for.
 */
import { ConnectionLost, StatementTimeout } from '../errors.ts'
import type { Channel } from './channel.ts'

/** Attempts: on a server that stood still, the old limit may hit this as well. */
const attempts = 5

/** Lifts the limit of an earlier call, if there is one. @throws ConnectionLost, or why the channel is doomed. */
export async function liftTimeout(channel: Channel): Promise<void> {
  const { connection } = channel
  for (let attempt = 1; connection.statementTimeoutMs !== 0; attempt++) {
    try {
      const lifted = channel.script('set statement_timeout = default')
      // The old limit may run out as that ends, and would then hit whatever comes next: this.
      await Promise.all([lifted, channel.script('select 1')])
      connection.statementTimeoutMs = 0
    } catch (error) {
      if (error instanceof StatementTimeout && !channel.doomed && attempt < attempts) continue
      channel.retire ??= 'unhealthy'
      throw channel.doomed ?? new ConnectionLost('the time limit of an earlier call was not lifted', { cause: error })
    }
  }
}
