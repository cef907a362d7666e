/**
 * Placing an order: one transaction that locks the products, checks the stock, writes order and lines, and takes the
 * goods out of stock. Rows are locked in key order, so two orders for the same products queue up instead of waiting for
 * each other in a circle. https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-DEADLOCKS
 */
import { type Order, type OrderItem, orderItems, type Product } from '../../schema/index.ts'
import { ForeignKeyViolation, type InputIssue, InvalidInput } from '../errors.ts'
import type { TransactionOptions } from '../session/session.ts'
import { orderRepository, productRepository, type ShopSession } from './repositories.ts'

/** What a customer wants: each product once, each quantity at least 1. */
export interface OrderRequest {
  readonly customerId: number
  readonly items: readonly { readonly productId: number; readonly quantity: number }[]
}

/** What was written. */
export interface PlacedOrder {
  readonly order: Order
  readonly items: readonly OrderItem[]
}

/** A product of which there is not enough. */
export interface Shortage {
  readonly productId: number
  readonly wanted: number
  /** What could be sold now; 0 for a product that is not on sale. */
  readonly inStock: number
}

/** The shop does not have what was ordered; nothing was written. */
export class InsufficientStock extends Error {
  readonly code = 'insufficient_stock'
  readonly shortages: readonly Shortage[]

  constructor(shortages: readonly Shortage[]) {
    super('there is not enough in stock of what was ordered')
    this.name = 'InsufficientStock'
    this.shortages = shortages
  }
}

/**
 * Places an order, in a transaction of an engine or, as a part of it, in that of a session. @throws InsufficientStock;
 * InvalidInput for an unknown customer or product, or one named twice.
 */
export async function placeOrder(
  on: Pick<ShopSession, 'transaction'>,
  request: OrderRequest,
  options?: TransactionOptions,
): Promise<PlacedOrder> {
  checkDistinct(request)
  try {
    return await on.transaction(async (session) => {
      const { db, sql } = session
      const stock = await productRepository(session).lockAll(request.items.map(({ productId }) => productId))
      const lines = matchLines(request, new Map(stock.map((product) => [product.id, product])))
      const order = await orderRepository(session).insert({ customerId: request.customerId, total: totalOf(lines) })
      const items = await db
        .insert(orderItems)
        .values(lines.map((line) => ({ ...line, orderId: order.id })))
        .returning()
      const quantities = lines.map(({ quantity }) => quantity)
      await sql`
        update products set stock = stock - line.quantity, updated_at = now()
        from unnest(${lines.map(({ productId }) => productId)}::int[], ${quantities}::int[]) as line (product_id, quantity)
        where products.id = line.product_id`
      return { order, items }
    }, options)
  } catch (error) {
    if (!(error instanceof ForeignKeyViolation) || !error.columns.includes('customer_id')) throw error
    throw unusable([{ path: ['customerId'], message: 'There is no such customer' }], error)
  }
}

interface Line {
  readonly productId: number
  readonly quantity: number
  readonly unitPrice: string
}

/** The lines at today's prices. @throws InvalidInput, InsufficientStock. */
function matchLines({ items }: OrderRequest, stock: ReadonlyMap<number, Product>): Line[] {
  const unknown = items.flatMap(({ productId }, index) =>
    stock.has(productId) ? [] : [{ path: ['items', index, 'productId'], message: 'There is no such product' }],
  )
  if (unknown.length > 0) throw unusable(unknown)
  const shortages: Shortage[] = []
  const lines = items.map(({ productId, quantity }) => {
    const { price = '0', stock: left = 0, available = false } = stock.get(productId) ?? {}
    const inStock = available ? left : 0
    if (inStock < quantity) shortages.push({ productId, wanted: quantity, inStock })
    return { productId, quantity, unitPrice: price }
  })
  if (shortages.length > 0) throw new InsufficientStock(shortages)
  return lines
}

function checkDistinct({ items }: OrderRequest): void {
  const seen = new Set<number>()
  const again = items.flatMap(({ productId }, index) =>
    seen.size === seen.add(productId).size
      ? [{ path: ['items', index, 'productId'], message: 'This product stands in the order twice' }]
      : [],
  )
  if (again.length > 0) throw unusable(again)
}

function unusable(issues: readonly InputIssue[], cause?: unknown): InvalidInput {
  return new InvalidInput('the order cannot be placed as it is', { issues, cause })
}

/** In cents: a sum of floating-point amounts would be off by one now and then. Prices have two digits, by their column. */
function totalOf(lines: readonly Line[]): string {
  const cents = lines.reduce(
    (sum, { quantity, unitPrice }) => sum + BigInt(quantity) * BigInt(unitPrice.replace('.', '')),
    0n,
  )
  return `${cents / 100n}.${String(cents % 100n).padStart(2, '0')}`
}
