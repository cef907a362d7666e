/**
 * What an editor shows: TypeScript's own language server is asked, over LSP, about a file of a `TypeFolder`.
 */
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot as root } from './type-folder.ts'

/** Asks the language server what it shows behind each mark, but for the comments; lines as it breaks them. */
export async function hover(file: string, text: string): Promise<Record<string, string[]>> {
  const server = spawn(join(root, 'node_modules/.bin/tsc'), ['--lsp', '--stdio'], { stdio: ['pipe', 'pipe', 'ignore'] })
  const waiting = new Map<number, (result: unknown) => void>()
  let buffered = Buffer.alloc(0)
  server.stdout.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    for (;;) {
      const end = buffered.indexOf('\r\n\r\n')
      if (end === -1) return
      const length = Number(/Content-Length: (\d+)/i.exec(buffered.subarray(0, end).toString())?.[1])
      if (buffered.length < end + 4 + length) return
      const message = JSON.parse(buffered.subarray(end + 4, end + 4 + length).toString()) as Message
      buffered = buffered.subarray(end + 4 + length)
      if (message.method !== undefined && message.id !== undefined) send({ id: message.id, result: null })
      else if (message.id !== undefined) waiting.get(message.id)?.(message.result)
    }
  })
  interface Message {
    readonly id?: number
    readonly method?: string
    readonly params?: unknown
    readonly result?: unknown
  }
  const send = (message: Message) => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  }
  let id = 0
  const ask = (method: string, params: unknown) =>
    new Promise<unknown>((resolve) => {
      waiting.set(++id, resolve)
      send({ id, method, params })
    })
  try {
    const uri = pathToFileURL(file).href
    const capabilities = { textDocument: { hover: { contentFormat: ['markdown'] } } }
    await ask('initialize', { processId: process.pid, rootUri: pathToFileURL(dirname(file)).href, capabilities })
    send({ method: 'initialized', params: {} })
    send({
      method: 'textDocument/didOpen',
      params: { textDocument: { uri, languageId: 'typescript', version: 1, text } },
    })
    const shown: Record<string, string[]> = {}
    for (const mark of text.matchAll(/\/\*(.+?)\*\//g)) {
      const before = text.slice(0, mark.index + mark[0].length)
      const position = { line: before.split('\n').length - 1, character: before.length - before.lastIndexOf('\n') - 1 }
      const result = (await ask('textDocument/hover', { textDocument: { uri }, position })) as {
        contents: { value: string }
      }
      const code = /```\w*\n(.*?)\n```/s.exec(result.contents.value)?.[1] ?? ''
      shown[mark[1] as string] = code.split('\n').filter((line) => line.trim() !== '')
    }
    return shown
  } finally {
    server.kill()
  }
}
