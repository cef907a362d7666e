/**
 * A process that uses the embedded server. Opens it with the options in argv[2] (JSON), prints one line of JSON
 * (`{ url, owned, socketDirectory }` or `{ error, message }`), and then does what argv[3] says: `hold` gives the server
 * up when a line arrives on standard input, `leave` just has nothing more to do.
 */
import { once } from 'node:events'
import { RivuletError } from '../../src/errors.ts'
import { openEmbeddedServer } from '../../src/embedded/server.ts'

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? '{}') as Parameters<typeof openEmbeddedServer>[0]
  try {
    const server = await openEmbeddedServer(options)
    const { url, owned, socketDirectory } = server
    console.log(JSON.stringify({ url, owned, socketDirectory }))
    if (process.argv[3] === 'leave') return
    await once(process.stdin, 'data')
    await server.stop()
    process.stdin.destroy()
  } catch (error) {
    console.log(JSON.stringify({ error: error instanceof RivuletError ? error.code : 'other', message: String(error) }))
    process.exitCode = 1
  }
}

await main()
