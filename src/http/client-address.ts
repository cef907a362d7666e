/**
 * Which address a request comes from. Behind proxies the connection is that of the last of them, and `X-Forwarded-For` says
 * the others; but a client may send that header too. So what counts is how many proxies of one's own there are: each adds the
 * address that it has seen at the end of the list, and what stands before those of one's own may be invented.
 */
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'

const addressOptions = optionNames<{ proxies?: number }>({ proxies: 'number' })

/**
 * The address of the client, behind as many `proxies` of one's own, each of which appends to `X-Forwarded-For` (0 or more;
 * default 0: the header is not looked at). Undefined where there is no connection, as in `app.request()`.
 */
export function clientAddress(context: Context, options: { readonly proxies?: number } = {}): string | undefined {
  checkOptions('clientAddress', addressOptions, options)
  const { proxies = 0 } = options
  if (!context?.req) throw new UsageError('clientAddress takes the context of a request')
  const { incoming } = (context.env ?? {}) as Partial<HttpBindings>
  const forwarded = context.req.header('x-forwarded-for')?.split(',') ?? []
  const seen = proxies === 0 ? [] : forwarded.slice(-proxies).map((address) => address.trim())
  return seen[0] ?? incoming?.socket.remoteAddress
}
