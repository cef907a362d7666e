/** The page at `/console`: its frame, and what does not change while it is open. The rest is written by its script. */
import { type Html, html, page } from '../document/html.ts'

/** A migration, and whether it was applied. */
export interface MigrationView {
  readonly name: string
  /** `applied`, `pending`, … */
  readonly state: string
  readonly appliedAt?: Date | undefined
}

/** What the page says that is known when it is asked for. */
export interface ConsolePage {
  readonly title: string
  readonly diagram: Html
  /** The migrations, or why they are not known; undefined: not looked at. */
  readonly migrations: readonly MigrationView[] | string | undefined
  /** Requests that the page offers to make. */
  readonly actions: readonly ConsoleAction[]
}

/** A request that the page offers to make, by GET. */
export interface ConsoleAction {
  /** What the button says: `Run the product page`. */
  readonly label: string
  /** `/product/1/1` */
  readonly path: string
}

const head = html`<link rel="stylesheet" href="console/style.css" />
  <script type="module" src="console/page.js"></script>`

/** Renders it. */
export function consolePage({ title, diagram, migrations, actions }: ConsolePage): string {
  return page(
    `${title}: console`,
    html`<header>
        <h1>${title}: console</h1>
        <p class="quiet" id="status" role="status">Connecting…</p>
        <nav aria-label="The service">
          <ul>
            <li><a href="./">The service</a></li>
            <li><a href="docs">Documentation</a></li>
          </ul>
        </nav>
        <p class="buttons">
          <button type="button" id="pause" aria-pressed="false">Pause</button>
          ${actions.map(({ label, path }) => html`<button type="button" data-path="${path}">${label}</button> `)}
          <span id="ran" role="status"></span>
        </p>
        <noscript><p>This page needs JavaScript: it shows what happens while it happens.</p></noscript>
      </header>
      <main id="main">
        <section aria-labelledby="gathers-title">
          <h2 id="gathers-title">Gathers</h2>
          <p class="quiet" id="gather-count">None yet: the page shows those that end while it is open.</p>
          <p class="legend quiet">
            ${entry('wait', 'wait')} ${entry('statement', 'statement')} ${entry('commit', 'COMMIT')}
            ${entry('transaction', 'transaction, from its BEGIN')} ${entry('cancelled', 'cancelled')}
            ${entry('failed', 'failed')}
          </p>
          <div id="gathers"></div>
        </section>
        <section aria-labelledby="pool-title">
          <h2 id="pool-title">Pool</h2>
          <dl class="figures" id="pool"></dl>
          <svg id="chart" viewBox="0 0 600 120" preserveAspectRatio="none" role="img" aria-label="No samples yet"></svg>
          <p class="legend quiet">
            ${entry('leased', 'in use')} ${entry('open', 'open')} ${entry('waiting', 'calls that wait')}
            ${entry('refused', 'calls refused')} the last five minutes
          </p>
        </section>
        <section aria-labelledby="sessions-title">
          <h2 id="sessions-title">Open sessions</h2>
          ${table('sessions', ['Session', 'Backend', 'Age', 'State', 'Waits for'], 'No session is open.')}
          <p class="quiet" id="sessions-unknown" hidden>The server does not say what they wait for.</p>
        </section>
        <section aria-labelledby="statements-title">
          <h2 id="statements-title">Statements</h2>
          <p class="buttons" role="group" aria-label="Order of the statements">
            <button type="button" data-order="totalMs" aria-pressed="true">Most time</button>
            <button type="button" data-order="maxMs" aria-pressed="false">Slowest</button>
            <button type="button" data-order="count" aria-pressed="false">Most frequent</button>
          </p>
          ${table('statements', ['Statement', 'Count', 'p50', 'p99', 'Longest', 'Total', 'Failed'], 'None yet.')}
        </section>
        <section aria-labelledby="transactions-title">
          <h2 id="transactions-title">Transactions</h2>
          <dl class="figures" id="outcomes"></dl>
          ${table('retries', ['Ran again', 'Because of', 'Times', 'Most attempts'], 'None ran again.')}
        </section>
        ${migrations !== undefined && migrationsSection(migrations)}
        <section aria-labelledby="schema-title">
          <h2 id="schema-title">Schema</h2>
          ${diagram}
        </section>
      </main>
      <dialog id="statement" aria-labelledby="statement-title">
        <form method="dialog"><button aria-label="Close">✕</button></form>
        <h2 id="statement-title"></h2>
        <pre class="scroll" tabindex="0"><code id="statement-text"></code></pre>
        <h3>Plan</h3>
        <div id="plan" class="scroll" role="group" aria-label="Plan" tabindex="0"></div>
      </dialog>`,
    head,
  )
}

/** What a colour stands for. */
function entry(name: string, meaning: string): Html {
  return html`<span class="entry"><span class="swatch ${name}"></span>${meaning}</span>`
}

/** A table whose rows the script writes. */
function table(id: string, headings: readonly string[], none: string): Html {
  return html`<div class="scroll" role="group" aria-labelledby="${id}-title" tabindex="0">
      <table>
        <thead>
          <tr>
            ${headings.map((heading) => html`<th scope="col">${heading}</th>`)}
          </tr>
        </thead>
        <tbody id="${id}"></tbody>
      </table>
    </div>
    <p class="quiet" id="${id}-none">${none}</p>`
}

function migrationsSection(migrations: NonNullable<ConsolePage['migrations']>): Html {
  const list =
    typeof migrations === 'string'
      ? html`<p>${migrations}</p>`
      : html`<ul class="plain">
          ${migrations.map(
            ({ name, state, appliedAt }) =>
              html`<li>
                <code>${name}</code> <strong class="${state}">${state}</strong> ${
                  appliedAt && html`<small>${appliedAt.toISOString()}</small>`
                }
              </li>`,
          )}
        </ul>`
  return html`<section aria-labelledby="migrations-title">
    <h2 id="migrations-title">Migrations</h2>
    ${list}
  </section>`
}
