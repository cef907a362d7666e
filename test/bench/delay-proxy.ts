/** `delay-proxy.js HOST PORT`: hands on what passes, each way half a millisecond late. Says its port to the parent. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

const [, , host = '', port = ''] = process.argv
const delayMs = 0.5

const server = createServer((client) => {
  const upstream = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(Number(port), host)
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.setNoDelay(true)
    from.on('data', (chunk) => hold(chunk, to))
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroy())
  }
})

const held: { readonly dueAt: number; readonly chunk: Buffer; readonly to: Socket }[] = []

/** Timers are whole milliseconds: the loop turns until the time has come. */
function hold(chunk: Buffer, to: Socket): void {
  held.push({ dueAt: performance.now() + delayMs, chunk, to })
  if (held.length === 1) setImmediate(deliver)
}

function deliver(): void {
  while (held[0] && held[0].dueAt <= performance.now()) {
    const { chunk, to } = held.shift() as (typeof held)[number]
    to.write(chunk)
  }
  if (held.length > 0) setImmediate(deliver)
}

server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())
