/** `GET /`: what is served here. To programs a JSON object of paths, to a browser a short page that links them. */
import type { Hono } from 'hono'
import type { Environment } from './front.ts'
import { jsonResponse } from './json.ts'
import type { OpenApiOptions } from './openapi.ts'
import type { PlannedResource } from '../resource/resource.ts'

/** Adds the index of an application. */
export function addIndex(
  app: Hono<Environment>,
  resources: readonly PlannedResource[],
  { title = 'Rivulet' }: OpenApiOptions = {},
): void {
  const links = {
    resources: Object.fromEntries(resources.map(({ path }) => [path, `/${path}`])),
    openapi: '/openapi.json',
    live: '/livez',
    ready: '/readyz',
  }
  app.get('/', ({ req }) => {
    const wantsPage = /^\s*text\/html\b/i.test(req.header('accept') ?? '')
    return wantsPage
      ? page(title, [...Object.values(links.resources), '/openapi.json', '/readyz'])
      : jsonResponse({ title, ...links })
  })
}

function page(title: string, paths: readonly string[]): Response {
  const items = paths.map((path) => `<li><a href="${escaped(path)}">${escaped(path)}</a></li>`).join('\n')
  const body = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escaped(title)}</title>
<h1>${escaped(title)}</h1>
<ul>
${items}
</ul>
</html>
`
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  }
  return new Response(body, { headers })
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
