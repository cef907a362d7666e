/** `rivulet/shop`: the reference service on `rivulet/schema`. */
export { createShopApp } from './app.ts'
export { InsufficientStock, type OrderRequest, type PlacedOrder, placeOrder, type Shortage } from './place-order.ts'
export { type ProductPage, type ProductPageKeys, productPage, type ShopEngine } from './product-page.ts'
export {
  customerRepository,
  orderRepository,
  productRepository,
  reviewRepository,
  type ShopSession,
} from './repositories.ts'
export { seed, type SeedResult } from './seed.ts'
