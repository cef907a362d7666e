/**
 * A product's page: the product, what customers say of it, and what the customer who looks at it has ordered before.
 * Three independent reads, so they are gathered: each in its own session, on its own connection, at the same time.
 */
import type * as schema from '../../schema/index.ts'
import type { Engine } from '../engine.ts'
import type { GatherOptions } from '../gather/gather.ts'
import { customerRepository, orderRepository, productRepository, reviewRepository } from './repositories.ts'

/** An engine on the shop's schema. */
export type ShopEngine = Engine<typeof schema>

/** Who looks at what. */
export interface ProductPageKeys {
  readonly productId: number
  readonly customerId: number
}

/** What a page shows. */
export type ProductPage = Awaited<ReturnType<typeof productPage>>

/** The most reviews and the most orders of a page, newest first. */
const pageLength = 50

/** Gathers the page. @throws NotFound when there is no such product, or no such customer. */
export function productPage(engine: ShopEngine, { productId, customerId }: ProductPageKeys, options?: GatherOptions) {
  return engine.gather(
    {
      product: (session) => productRepository(session).get(productId),
      reviews: (session) => reviewRepository(session).ofProduct(productId, pageLength),
      orders: async (session) => {
        const history = await orderRepository(session).ofCustomer(customerId, pageLength)
        // Only an empty history leaves it open whether there is such a customer: most pages need no second question.
        if (history.length === 0) await customerRepository(session).get(customerId)
        return history
      },
    },
    options,
  )
}
