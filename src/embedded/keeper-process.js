/**
 * The program that keeps one server: the parent of its process, alive as long as the server has a holder. A holder has
 * an open connection to the keeper's socket; while the server is being started, the channel to the starting process
 * counts as one. The kernel closes both when a process dies, for any reason and on every system, so no process id is
 * looked up, polled or signalled but those of the keeper's own children. When the last holder is gone, the server is
 * stopped.
 *
 * States: preparing (programs such as initdb run, one after the other) → serving → open (connections hold it) → ending.
 * Plain JavaScript that needs only Node, so that it starts at once, compiled or not, and under every loader.
 */
import { spawn } from 'node:child_process'
import { rmdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'

/**
 * @import { ChildProcess } from 'node:child_process'
 * @import { Socket } from 'node:net'
 * @import { Program, KeeperRequest } from './keeper.ts'
 */

/**
 * The time limits of fast and immediate shutdown. The first pair is for an owner who waits, the second for all other
 * cases.
 */
const patient = { fastMs: 15_000, immediateMs: 10_000 }
const hurried = { fastMs: 1_400, immediateMs: 400 }

/** The holders of the server. @type {Set<Socket>} */
const holders = new Set()
/**
 * Connections that came before the server was open, or when it was ending: they become holders when it is open, and are
 * closed when it has ended. @type {Set<Socket>}
 */
const waiting = new Set()
/** The holder that left last and waits for the end. @type {Socket | undefined} */
let last
/** The program that runs now. @type {ChildProcess | undefined} */
let running
let isServer = false
let isOpen = false
let isEnding = false
/** Paths to remove when the server has ended. @type {readonly string[]} */
let remove = []
/** An empty directory to be removed as well. @type {string | undefined} */
let socketDirectory
let isOver = false
/** @type {NodeJS.Timeout | undefined} */
let escalation

process.title = 'rivulet-keeper'
// A Ctrl-C in a terminal, or a stop of everything, is for the owners: they decide how long the server lives.
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) process.on(signal, () => {})
process.on('message', (request) => handle(/** @type {KeeperRequest} */ (request)))
process.on('disconnect', () => settle(hurried))

const listener = createServer(receive)

/** @param {KeeperRequest} request */
function handle(request) {
  if (request.do === 'listen') {
    socketDirectory = request.temporary
    listener.once('error', (error) => tell({ failed: error.message }))
    // Its directory is closed to all but the server's user and root, who may both be owners.
    const sharing = { readableAll: process.platform !== 'win32', writableAll: process.platform !== 'win32' }
    listener.listen({ path: request.address, ...sharing }, () => tell({ done: true }))
  } else if (request.do === 'run') {
    run(request.program)
  } else if (request.do === 'serve') {
    serve(request.program)
    remove = request.remove
  } else {
    isOpen = true
    for (const socket of waiting) admit(socket)
  }
}

/** Runs a program to its end and tells what became of it. @param {Program} program */
function run({ file, args, options, input }) {
  const child = spawn(file, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
  running = child
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  child.once('error', (error) => (output ||= error.message))
  // It comes after an error, too.
  child.once('close', (code, signal) => {
    ended()
    tell({ done: { ok: code === 0, output: output || (signal ?? `exit code ${code}`) } })
  })
  // A program that ends before it has read everything says why by itself.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
}

/** Starts the server; it writes to the log that is our own standard output. @param {Program} program */
function serve({ file, args, options }) {
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'inherit', 'inherit'] })
  running = child
  isServer = true
  child.once('exit', (code, signal) => {
    ended()
    tell({ ended: signal ?? `exit code ${code}` })
  })
  child.once('error', (error) => {
    if (child.pid !== undefined) return
    ended()
    tell({ failed: error.message })
  })
  if (child.pid !== undefined) tell({ done: child.pid })
}

/** Replies to the process that starts the server, unless it is gone. @param {unknown} message */
function tell(message) {
  process.send?.(message, undefined, undefined, () => {})
}

function ended() {
  clearTimeout(escalation)
  running = undefined
  isServer = false
  settle(hurried)
}

/** @param {Socket} socket */
function receive(socket) {
  waiting.add(socket)
  socket.on('error', () => {})
  socket.on('data', () => leave(socket))
  socket.on('close', () => vanish(socket))
  if (isOpen) admit(socket)
}

/** @param {Socket} socket */
function admit(socket) {
  if (isEnding) return
  waiting.delete(socket)
  holders.add(socket)
  socket.write('held\n')
}

/** A holder leaves; the last one gets its reply when the server has ended. @param {Socket} socket */
function leave(socket) {
  if (!holders.delete(socket)) return
  if (holders.size > 0) socket.end('left\n')
  else last = socket
  settle(patient)
}

/** An owner died, whether it held the server, waited to, or waited for its end. @param {Socket} socket */
function vanish(socket) {
  waiting.delete(socket)
  if (holders.delete(socket) || socket === last) settle(hurried)
}

/** Ends the server when it has no holder. @param {typeof patient} patience */
function settle(patience) {
  // The process that starts the server is told the outcome, and may try again.
  if (process.connected) return
  if (running === undefined) return finish()
  if (holders.size > 0) return
  isEnding = true
  stop(running, patience)
}

/** @param {ChildProcess} child @param {typeof patient} patience */
function stop(child, { fastMs, immediateMs }) {
  clearTimeout(escalation)
  signal(child, isServer ? 'SIGINT' : 'SIGTERM')
  escalation = setTimeout(() => {
    signal(child, 'SIGQUIT')
    escalation = setTimeout(() => signal(child, 'SIGKILL'), immediateMs)
  }, fastMs)
}

/** A server signals its own children; other programs are a process group. @param {ChildProcess} child @param {NodeJS.Signals} name */
function signal(child, name) {
  if (isServer || process.platform === 'win32') child.kill(name)
  else if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    try {
      process.kill(-child.pid, name)
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** Leaves nothing behind and nothing open, so that this process ends. */
function finish() {
  if (isOver) return
  isOver = true
  isEnding = true
  for (const path of remove) attempt(() => rmSync(path, { recursive: true, force: true, maxRetries: 10 }))
  listener.close()
  // If the server was killed its socket is still in there, and the next start removes it.
  if (socketDirectory !== undefined) attempt(() => rmdirSync(/** @type {string} */ (socketDirectory)))
  last?.write('left\n')
  for (const socket of [last, ...holders, ...waiting]) socket?.destroySoon()
}

/** @param {() => void} removal */
function attempt(removal) {
  try {
    removal()
  } catch {
    // The next process that starts a server tries again.
  }
}
