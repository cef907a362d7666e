/**
 * `rivulet/shop`: the reference service on `rivulet/schema`, to read, to try and to learn from. It changes as the shop
 * does, in any version: semantic versioning does not cover it. Copy what you build on.
 */
export { createShopApp } from './app.ts'
export { InsufficientStock, type OrderRequest, type PlacedOrder, placeOrder, type Shortage } from './place-order.ts'
export { type ProductPage, type ProductPageKeys, productPage, type ShopEngine } from './product-page.ts'
export {
  customerRepository,
  orderRepository,
  productRepository,
  reviewRepository,
  type ShopSession,
  userRepository,
} from './repositories.ts'
export { seed, type SeedResult } from './seed.ts'
