/** HTML as text, in which nothing that was not written as HTML becomes any; and the look that all pages share. */
import { createHash } from 'node:crypto'

/** HTML that was written as such. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type HtmlValue = Html | string | number | undefined | false | readonly HtmlValue[]

/** A piece of HTML: values are text, unless they are pieces themselves, or lists of them. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(String.raw({ raw: strings }, ...values.map(written)))
}

function written(value: HtmlValue): string {
  if (value instanceof Html) return value.text
  if (typeof value === 'object') return value.map(written).join('')
  if (value === undefined || value === false) return ''
  return String(value).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** Text in which what stands in backticks is code, as in the descriptions of OpenAPI. */
export function prose(text: string): Html {
  const parts = text.split(/`([^`]+)`/)
  return html`${parts.map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part))}`
}

/** A page of its own: no script, no font, no image, nothing from elsewhere, unless `head` asks for it. */
export function page(title: string, body: Html, head?: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        ${styleElement} ${head}
      </head>
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        ${body}
      </body>
    </html> `.text
}

const style = `
:root {
  color-scheme: light dark;
  --text: #1c2127; --quiet: #59636e; --ground: #fff; --raised: #f5f6f8; --line: #d5d9de; --link: #0a58ca;
  --get: #0b6e4f; --post: #0a58ca; --patch: #8a5a00; --delete: #b42318;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e4e7eb; --quiet: #9aa4af; --ground: #14171b; --raised: #1d2228; --line: #343b44; --link: #7ab7ff;
    --get: #5fd3a5; --post: #7ab7ff; --patch: #e6b450; --delete: #ff8a80;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1.25rem 5rem; background: var(--ground); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .3rem; padding-top: .5rem; border-top: 1px solid var(--line); }
h3, h4 { margin: 0; font-size: 1rem; }
h4 { margin-top: 1.1rem; color: var(--quiet); font-size: .85rem; font-weight: 600; }
p { margin: .3rem 0; max-width: 46rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px; }
code { font: .9em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
small, .quiet { color: var(--quiet); font-weight: 400; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; margin: 1rem 0 0; padding: 0; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .55rem 0; }
details[open] { padding-bottom: .9rem; }
summary { cursor: pointer; display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .5rem .8rem; background: var(--raised);
  border-radius: 6px; }
summary h3 { display: flex; gap: .4rem; flex: 1 1 20rem; font-weight: 400; }
summary .method { flex: 0 0 4rem; }
summary .quiet { flex: 1.4 1 20rem; }
.inside { padding: .4rem .8rem 0; }
.method { font-weight: 700; }
.get, .head { color: var(--get); } .post { color: var(--post); } .put, .patch { color: var(--patch); } .delete { color: var(--delete); }
dl { margin: .2rem 0; }
dl > div { display: grid; grid-template-columns: minmax(9rem, 15rem) minmax(0, 1fr); gap: 0 1rem; padding: .35rem 0;
  border-bottom: 1px solid var(--line); }
dl > div:last-child { border-bottom: 0; }
dt { grid-column: 1; } dd { grid-column: 2; grid-row: 1; margin: 0; }
dt:target { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px; }
dt:not(:first-child) { grid-row: auto; } dd { grid-row: 1 / span 20; }
.skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; background: var(--ground); }
@media (max-width: 40rem) {
  dl > div { display: block; } dd { margin-bottom: .2rem; }
}
@media print { details > * { display: block; } }
`

/** In one piece: its digest counts every space. */
const styleElement = new Html(`<style>${style}</style>`)

/** The policy under which a page works: its own style, which is named by its digest, and nothing else. */
export const pagePolicy = policyOf()

/** The policy of a page that is alive: also the scripts, styles and answers of the service itself. */
export const livePagePolicy = policyOf("'self'")

function policyOf(own?: string): string {
  const ownStyle = `'sha256-${createHash('sha256').update(style).digest('base64')}'`
  return [
    "default-src 'none'",
    `style-src ${own === undefined ? '' : `${own} `}${ownStyle}`,
    ...(own === undefined ? [] : [`script-src ${own}`, `connect-src ${own}`]),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
