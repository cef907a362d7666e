/** The page at `/`: what is served here, with links to it. */
import { html, page } from './html.ts'

/** What it names. */
export interface Index {
  readonly title: string
  readonly description: string
  /** Paths by the names of resources. */
  readonly resources: Readonly<Record<string, string>>
  /** Whether there is a console. */
  readonly console: boolean
}

/** Renders it. */
export function indexPage({ title, description, resources, console }: Index): string {
  const paths = Object.values(resources)
  return page(
    title,
    html`<header>
        <h1>${title}</h1>
        <p class="quiet">${description}</p>
        <nav aria-label="The service">
          <ul>
            <li><a href="/docs">Documentation</a></li>
            ${console && html`<li><a href="/console">Console</a></li>`}
            <li><a href="/openapi.json">openapi.json</a></li>
            <li><a href="/readyz">readyz</a></li>
          </ul>
        </nav>
      </header>
      <main id="main">
        <h2>Resources</h2>
        ${paths.length === 0 ? html`<p>No tables are published here.</p>` : undefined}
        <ul>
          ${paths.map((path) => html`<li><a href="${path}">${path}</a></li> `)}
        </ul>
      </main>`,
  )
}
