/**
 * What says what is served: `GET /`, to programs a JSON object of paths, to a browser a short page; `/openapi.json`, and
 * `/docs`, the same for people. Their texts are made once, by `document/`.
 */
import type { Context, Hono } from 'hono'
import { accepts } from 'hono/accepts'
import { docsPage } from '../document/docs-page.ts'
import { pagePolicy } from '../document/html.ts'
import { indexPage } from '../document/index-page.ts'
import { type DocumentedRoutes, openApiDocuments, type OpenApiOptions } from '../document/openapi.ts'
import { explainedProblems } from '../document/problem-types.ts'
import type { PlannedResource } from '../resource/resource.ts'
import type { Environment } from './front.ts'
import { jsonResponse } from '../answer/json.ts'
import { textResponse } from '../answer/text-response.ts'

/** Adds `/`, `/openapi.json` and `/docs`. */
export function addPages(
  app: Hono<Environment>,
  planned: readonly PlannedResource[],
  options: OpenApiOptions = {},
  { console = false, ...routes }: DocumentedRoutes & { readonly console?: boolean } = {},
): void {
  const { title = 'Rivulet', description = 'Tables of a database as an API.' } = options
  const resources = Object.fromEntries(planned.map(({ path }) => [path, `/${path}`]))
  const gather = (routes.gathered ?? 0) > 0 ? { gather: '/gather' } : {}
  const links = {
    title,
    resources,
    ...gather,
    openapi: '/openapi.json',
    docs: '/docs',
    ...(console && { console: '/console' }),
    live: '/livez',
    ready: '/readyz',
  }
  const documents = openApiDocuments(planned, { ...options, title, description }, routes)
  const index = indexPage({ title, description, resources, console })
  const pages = new Map<string | undefined, string>()
  // As the role of who asks sees it; nobody is asked where that makes no difference.
  const roleOf = async (context: Context<Environment>) => {
    const role = documents.size > 1 ? (await context.get('identity')?.())?.role : undefined
    return documents.has(role) ? role : undefined
  }
  app.get('/', (context) => {
    const headers = { vary: 'accept' }
    const type = accepts(context, { header: 'Accept', supports: ['text/html', 'application/json'], default: '' })
    return type === 'text/html' ? htmlResponse(index, headers) : jsonResponse(links, { headers })
  })
  const headers = { vary: 'authorization' }
  app.get('/openapi.json', async (context) => jsonResponse(documents.get(await roleOf(context)), { headers }))
  app.get('/docs', async (context) => {
    const role = await roleOf(context)
    const page = pages.get(role) ?? docsPage(documents.get(role) as object, explainedProblems(options.problems))
    pages.set(role, page)
    return htmlResponse(page, headers)
  })
}

function htmlResponse(body: string, headers: Readonly<Record<string, string>> = {}): Response {
  return textResponse(body, 'text/html; charset=utf-8', { 'content-security-policy': pagePolicy, ...headers })
}
