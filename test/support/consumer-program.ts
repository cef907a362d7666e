/** A user's program; the types of the results are stated, so that an `any` that crept in is an error. */
export const consumerProgram = `
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { conventions, defineRepository, NotFound, openEngine, optional, type Session } from 'rivulet'
import { createApp, openHttpServer, requestEngine, resource } from 'rivulet/http'
import { jwtIdentity } from 'rivulet/jwt'
import { openTelemetry } from 'rivulet/opentelemetry'
import { createPrometheus } from 'rivulet/prometheus'
import { applyMigrations } from 'rivulet/migrate'
import * as schema from 'rivulet/schema'
import { createShopApp, placeOrder, productPage } from 'rivulet/shop'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>) => undefined

await applyMigrations('postgres://localhost/shop', { folder: 'migrations' })
export const telemetry = openTelemetry({ sqlComments: true })
await using engine = await openEngine({ schema, telemetry, pool: { max: 3 } })
const customersOf = defineRepository(schema.customers, (base) => ({ byName: (name: string) => base.find({ name }) }))
const results = await engine.gather({
  lynn: (session) => customersOf(session).byName('Lynn'),
  reviews: ({ db }) => db.query.reviews.findMany({ with: { customer: true } }),
  rows: ({ sql }) => sql<{ id: number }>\`select 1 as id\`,
  late: optional(() => Promise.resolve(1n), 'late' as const),
})
same<typeof results.lynn, schema.Customer | undefined>(true)
same<(typeof results.reviews)[number]['customer']['name'], string>(true)
same<typeof results.late, bigint | 'late'>(true)
// @ts-expect-error there is no such task
void results.nobody
// @ts-expect-error a key of customers is a number
await engine.session(({ repository }) => repository(schema.customers).get('1'))

const page = await productPage(engine, { productId: 1, customerId: 1 })
same<typeof page.product, schema.Product>(true)
same<(typeof page.orders)[number]['id'], bigint>(true)
const { order } = await placeOrder(engine, { customerId: 1, items: [{ productId: 1, quantity: 1 }] })
same<typeof order, schema.Order>(true)

await using server = await openHttpServer(createShopApp(engine), { port: 0 })
createApp(engine, { metrics: createPrometheus().text, onFault: (error) => console.error(error instanceof NotFound ? error.table : server.url) })

// Exported, so that the declarations of the program must name their types.
export const namedOf = defineRepository(schema.customers, (base) => ({ byName: (name: string) => base.find({ name }) }))
export const ordersPage = (session: Session<typeof schema>) => session.repository(schema.orders).list({ with: { items: true } })
export const own = conventions(pgTable('own', { id: integer().primaryKey(), version: integer().notNull() }), { version: 'version' })
export const lockOwn = (session: Session<{ own: typeof own }>) => session.repository(own).lock(1, 'update', { skipLocked: true })
export const words = resource(own, { path: 'my-words', hidden: ['version'], roles: { reader: { readOnly: true } } })
export const who = jwtIdentity({ secret: 'a secret of at least 32 bytes, for HS256', algorithms: ['HS256'], audience: 'api', issuer: 'https://issuer', roles: ['reader'], identityOf: () => ({ role: 'reader' }) })
const published = [resource(schema.customers), resource(schema.orders, { fixed: ['total'], readOnly: true }), words]
export const publishing = createApp(engine, { resources: published, identity: who })
export const app = createApp(engine, { resources: [resource(schema.customers), words, resource(schema.orderItems)] })
export const bare = createApp(engine)
export const chained = createApp(engine, { resources: [resource(schema.products), resource(schema.customers)], idempotency: {} })
  .get('/named/:name', async (context) => {
    const own = await requestEngine(context, engine)
    return context.json(await own.session((session) => namedOf(session).byName(context.req.param('name'))))
  })
  .post('/words', async (context) => context.json({ made: true as const, page: await engine.session(ordersPage) }, 201))
export const listening = openHttpServer(app, { port: 0 })
export const many = (session: Session<typeof schema>) => session.repository(schema.customers).getMany([1])
`
