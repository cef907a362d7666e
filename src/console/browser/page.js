/**
 * The page at `/console`: draws what the server says twice a second. Everything is text to the document, nothing is HTML;
 * what is there already is changed in its place, so that neither the focus nor what somebody reads is lost.
 *
 * @import { ConsoleState } from '../console-watch.ts'
 * @import { OpenSessionView } from '../open-sessions.ts'
 * @import { NodeView, PlanView } from '../plan-view.ts'
 * @import { GatherView, TaskView } from '../recent-gathers.ts'
 * @import { StatementView } from '../statement-tally.ts'
 */

const shownMs = 300_000
const mostGathers = 10
/** Tasks of one lane that are written out. */
const mostTasks = 4

/** @type {(ConsoleState['pool'] & { readonly at: number })[]} */
let samples = []
/** @type {readonly StatementView[]} */
let statements = []
/** @type {'totalMs' | 'maxMs' | 'count'} */
let order = 'totalMs'
let paused = false
/** What keeps the service from its database. */
let outage = ''

const events = new EventSource(new URL('events', import.meta.url))
events.addEventListener('open', () => {
  // It may be another process by now, which counts anew.
  samples = []
  element('gathers').replaceChildren()
  showStatus()
})
events.addEventListener('error', showStatus)
events.addEventListener('message', ({ data }) => {
  if (!paused) show(JSON.parse(data))
})

function showStatus() {
  const lost =
    events.readyState === EventSource.CLOSED ? 'Not connected: reload the page, or close another one' : 'Connecting…'
  const live = paused ? 'Paused' : outage === '' ? 'Live' : `Live, but without its database: ${outage}`
  say('status', events.readyState === EventSource.OPEN ? live : lost)
}

/** @param {ConsoleState} state */
function show(state) {
  const { pool, gathers, gatherCount, transactions } = state
  outage = state.outage ?? ''
  showStatus()
  showPool(pool)
  for (const gather of gathers) addGather(gather)
  if (gatherCount > 0)
    say('gather-count', `${gatherCount.toLocaleString()} since the first page was opened; the last are shown.`)
  showSessions(state)
  statements = state.statements
  showStatements()
  const { committed, rolled_back: rolledBack, unknown } = transactions.outcomes
  figures('outcomes', { Committed: committed, 'Rolled back': rolledBack, 'Outcome unknown': unknown })
  rows(
    'retries',
    transactions.retries,
    ({ label, error }) => `${error} ${label}`,
    ({ label, error, count, attempts }) => [label || 'transaction', error, String(count), String(attempts)],
  )
}

// ---- the pool

/** @param {ConsoleState['pool']} pool */
function showPool(pool) {
  const now = performance.now()
  samples.push({ ...pool, at: now })
  samples = samples.filter(({ at }) => now - at <= shownMs)
  const { leased, open, max, waiting, refused } = pool
  figures('pool', { 'In use': leased, Open: open, Most: max, Waiting: waiting, Refused: refused })
  const chart = element('chart')
  const refusedSince = samples.map((sample, index) => sample.refused - (samples[index - 1] ?? sample).refused)
  const top = Math.max(max, ...samples.map((sample) => Math.max(sample.waiting, sample.open)), ...refusedSince) * 1.05
  /** @param {string} name @param {readonly number[]} values */
  const line = (name, values) => {
    const found = chart.querySelector(`.${name}`) ?? chart.appendChild(svg('polyline', name))
    const points = samples.map(({ at }, index) => {
      const x = 600 - ((now - at) / shownMs) * 600
      return `${x.toFixed(1)},${(118 - ((values[index] ?? 0) / top) * 114).toFixed(1)}`
    })
    found.setAttribute('points', points.join(' '))
  }
  line(
    'open',
    samples.map((sample) => sample.open),
  )
  line(
    'leased',
    samples.map((sample) => sample.leased),
  )
  line(
    'waiting',
    samples.map((sample) => sample.waiting),
  )
  line('refused', refusedSince)
  const label = `${leased} of ${max} connections are in use, ${waiting} calls wait and ${refused} were refused; the lines show the last five minutes`
  chart.setAttribute('aria-label', label)
}

// ---- gathers

/** @param {GatherView} gather */
function addGather({ id, label, durationMs, sequentialMs, tasks }) {
  const list = element('gathers')
  const figure = make('article', 'gather')
  figure.id = `gather-${id}`
  const heading = make('h3')
  heading.append(make('strong', '', label), make('span', '', ms(durationMs)))
  heading.append(make('small', '', `one after another: ${ms(sequentialMs)}`))
  const lanes = make('ul')
  for (const lane of lanesOf(tasks)) lanes.append(laneOf(lane, durationMs))
  figure.append(heading, lanes)
  list.prepend(figure)
  while (list.children.length > mostGathers) list.lastElementChild?.remove()
}

/**
 * A lane for each connection, with the tasks that ran on it; one for each task that never ran.
 * @param {readonly TaskView[]} tasks
 * @returns {TaskView[][]}
 */
function lanesOf(tasks) {
  /** @type {Map<number | string, TaskView[]>} */
  const lanes = new Map()
  for (const task of tasks) {
    const lane = task.backendPid ?? task.key
    lanes.set(lane, [...(lanes.get(lane) ?? []), task])
  }
  return [...lanes.values()].map((lane) => lane.toSorted((a, b) => a.waitMs - b.waitMs))
}

/**
 * @param {TaskView[]} tasks
 * @param {number} durationMs
 */
function laneOf(tasks, durationMs) {
  const item = make('li')
  const text = make('div', 'lane')
  const [first] = tasks
  const written = tasks.length > mostTasks ? tasks.slice(0, mostTasks - 1) : tasks
  for (const task of written) text.append(make('div', '', described(task)))
  if (written.length < tasks.length) text.append(make('div', '', `and ${tasks.length - written.length} more`))
  text.append(make('small', '', first?.backendPid === undefined ? 'got no connection' : `backend ${first.backendPid}`))
  const track = make('div', 'track')
  track.setAttribute('aria-hidden', 'true')
  for (const task of tasks) {
    const group = make('div', task.outcome)
    if (tasks.length > 1) group.append(bar('task', task.waitMs, task.runMs, durationMs, task.key))
    // Transactions first: their statements lie upon them.
    // What a later task waited for is the earlier one, which is to be seen there.
    const shown = task === first ? task.bars : task.bars.filter(({ kind }) => kind !== 'wait')
    const bars = shown.toSorted((a, b) => Number(b.kind === 'transaction') - Number(a.kind === 'transaction'))
    for (const { kind, startMs, durationMs: lasted, name, failed } of bars) {
      const what = `${name ?? names[kind]}, ${ms(lasted)}${failed ? ', failed' : ''}`
      const classes = failed && kind !== 'transaction' && task.outcome !== 'cancelled' ? `${kind} failed` : kind
      group.append(bar(classes, startMs, lasted, durationMs, `${task.key}: ${what}`))
    }
    track.append(group)
  }
  item.append(text, track)
  return item
}

const names = { wait: 'wait', transaction: 'transaction', statement: 'statement', commit: 'COMMIT' }

/** @param {TaskView} task */
function described({ key, outcome, error, waitMs, runMs, backendPid }) {
  if (backendPid === undefined) return `${key}: ${outcome}${error === undefined ? '' : `, ${error}`}`
  const waited = waitMs >= 0.05 ? `waited ${ms(waitMs)}, ` : ''
  const end = outcome === 'done' ? '' : `, ${outcome}${error === undefined ? '' : ` (${error})`}`
  return `${key}: ${waited}ran ${ms(runMs)}${end}`
}

/**
 * @param {string} classes
 * @param {number} startMs
 * @param {number} lastedMs
 * @param {number} wholeMs
 * @param {string} title
 */
function bar(classes, startMs, lastedMs, wholeMs, title) {
  const found = make('div', `bar ${classes}`)
  found.style.left = `${(startMs / wholeMs) * 100}%`
  found.style.width = `${(lastedMs / wholeMs) * 100}%`
  found.title = title
  return found
}

// ---- sessions

/** @param {ConsoleState} state */
function showSessions({ sessions, serverAnswered }) {
  element('sessions-unknown').hidden = serverAnswered
  rows(
    'sessions',
    sessions,
    ({ backendPid }) => String(backendPid),
    (session) => [
      { text: session.label, more: session.acquiredAt },
      String(session.backendPid),
      age(session.ageMs),
      session.running ? 'runs a statement' : 'idle',
      waitOf(session),
    ],
  )
}

/** @param {OpenSessionView} session */
function waitOf({ waitsFor, blockedBy }) {
  if (blockedBy.length === 0) return waitsFor ?? ''
  const by = blockedBy.map(({ name, backendPid }) => `${name} (backend ${backendPid})`)
  return make('span', 'blocked', `blocked by ${by.join(', ')}`)
}

// ---- statements

function showStatements() {
  const sorted = statements.toSorted((a, b) => b[order] - a[order]).slice(0, 15)
  rows(
    'statements',
    sorted,
    ({ id }) => String(id),
    (statement) => [
      { button: statement.summary, more: cut(statement.text.replaceAll(/\s+/g, ' '), 90) },
      statement.count.toLocaleString(),
      ms(statement.p50Ms),
      ms(statement.p99Ms),
      ms(statement.maxMs),
      ms(statement.totalMs),
      String(statement.failures),
    ],
  )
}

for (const button of document.querySelectorAll('button[data-order]')) {
  button.addEventListener('click', () => {
    order = /** @type {typeof order} */ (button.getAttribute('data-order'))
    for (const other of document.querySelectorAll('button[data-order]')) {
      other.setAttribute('aria-pressed', String(other === button))
    }
    showStatements()
  })
}

element('statements').addEventListener('click', ({ target }) => {
  const row = target instanceof HTMLButtonElement ? target.closest('tr') : null
  const statement = statements.find(({ id }) => String(id) === row?.dataset['key'])
  if (statement) void open(statement)
})

/** Which is shown: a plan that comes late must not stand under another statement. */
let opened = 0

/** @param {StatementView} statement */
async function open({ id, summary, text }) {
  const own = (opened += 1)
  const dialog = /** @type {HTMLDialogElement} */ (element('statement'))
  const plan = element('plan')
  say('statement-title', summary)
  say('statement-text', text)
  plan.replaceChildren('Asking the server…')
  dialog.showModal()
  const answer = await fetch(new URL(`statements/${id}/plan`, import.meta.url)).catch(() => undefined)
  const body = await answer?.json().catch(() => undefined)
  if (own !== opened) return
  if (!answer?.ok) plan.replaceChildren(`There is no plan: ${body?.detail ?? 'the service does not answer'}`)
  else plan.replaceChildren(...planOf(body))
}

/** @param {PlanView} plan */
function planOf({ root, warnings }) {
  const tree = make('ul', 'plan')
  tree.append(nodeOf(root))
  return [...warnings.map((warning) => make('p', 'warning', warning)), tree]
}

/**
 * @param {NodeView} node
 * @returns {HTMLElement}
 */
function nodeOf({ title, details, children }) {
  const item = make('li')
  item.append(make('div', '', title), ...details.map((detail) => make('div', 'detail', detail)))
  if (children.length > 0) {
    const inner = make('ul')
    inner.append(...children.map(nodeOf))
    item.append(inner)
  }
  return item
}

// ---- buttons

const pause = element('pause')
pause.addEventListener('click', () => {
  paused = !paused
  pause.setAttribute('aria-pressed', String(paused))
  showStatus()
})

for (const button of document.querySelectorAll('button[data-path]')) {
  button.addEventListener('click', async () => {
    const path = button.getAttribute('data-path') ?? '/'
    const startedAt = performance.now()
    const answer = await fetch(path).catch(() => undefined)
    await answer?.arrayBuffer()
    const what = answer ? `answered ${answer.status} in ${ms(performance.now() - startedAt)}` : 'was not answered'
    say('ran', `GET ${path} ${what}`)
  })
}

// ---- the document

/** @typedef {string | HTMLElement | { readonly button?: string, readonly text?: string, readonly more: string }} Cell */

/**
 * Makes the rows of a table those of `items`, in order.
 * @template T
 * @param {string} id
 * @param {readonly T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => readonly Cell[]} cellsOf
 */
function rows(id, items, keyOf, cellsOf) {
  const body = element(id)
  const focused = document.activeElement
  element(`${id}-none`).hidden = items.length > 0
  const known = new Map(
    Array.from(body.children, (row) => [/** @type {HTMLElement} */ (row).dataset['key'] ?? '', row]),
  )
  items.forEach((item, index) => {
    const key = keyOf(item)
    const row = known.get(key) ?? rowFor(key)
    known.delete(key)
    cellsOf(item).forEach((cell, column) => fill(row.children[column] ?? row.appendChild(make('td')), cell))
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null)
  })
  for (const row of known.values()) row.remove()
  // A row that changes its place loses the focus.
  if (focused instanceof HTMLElement && focused.isConnected && document.activeElement !== focused)
    focused.focus({ preventScroll: true })
}

/** @param {string} key */
function rowFor(key) {
  const row = make('tr')
  row.dataset['key'] = key
  return row
}

/**
 * @param {Element} place
 * @param {Cell} cell
 */
function fill(place, cell) {
  if (typeof cell === 'string') {
    if (place.textContent !== cell || place.firstElementChild) place.textContent = cell
  } else if (cell instanceof HTMLElement) {
    if (place.textContent !== cell.textContent) place.replaceChildren(cell)
  } else {
    const { button, text = '', more } = cell
    const [head, tail] = [
      place.children[0] ?? place.appendChild(make(button === undefined ? 'div' : 'button')),
      place.children[1] ?? place.appendChild(make('small')),
    ]
    if (head instanceof HTMLButtonElement) head.type = 'button'
    if (head.textContent !== (button ?? text)) head.textContent = button ?? text
    if (tail.textContent !== more) tail.textContent = more
  }
}

/**
 * @param {string} id
 * @param {Readonly<Record<string, number>>} values
 */
function figures(id, values) {
  const list = element(id)
  if (list.children.length === 0) {
    for (const name of Object.keys(values)) {
      const pair = make('div')
      pair.append(make('dt', 'quiet', name), make('dd'))
      list.append(pair)
    }
  }
  Object.values(values).forEach((value, index) => {
    const place = list.children[index]?.lastElementChild
    if (place && place.textContent !== value.toLocaleString()) place.textContent = value.toLocaleString()
  })
}

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id)
  if (!found) throw new Error(`the page has no ${id}`)
  return found
}

/**
 * @param {string} id
 * @param {string} text
 */
function say(id, text) {
  const place = element(id)
  if (place.textContent !== text) place.textContent = text
}

/**
 * @param {string} name
 * @param {string} classes
 * @param {string} text
 */
function make(name, classes = '', text = '') {
  const made = document.createElement(name)
  if (classes) made.className = classes
  if (text) made.textContent = text
  return made
}

/**
 * @param {string} name
 * @param {string} classes
 */
function svg(name, classes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name)
  made.setAttribute('class', classes)
  return made
}

/**
 * @param {string} text
 * @param {number} most
 */
function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text
}

/** @param {number} value */
function ms(value) {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}\u00A0s`
  return `${value < 10 ? value.toFixed(2) : Math.round(value).toLocaleString()}\u00A0ms`
}

/** @param {number} value */
function age(value) {
  if (value < 1000) return `${Math.round(value)} ms`
  const seconds = Math.round(value / 1000)
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`
}
