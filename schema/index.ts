/**
 * The reference model, the users and customers of a small shop: what `rivulet/schema` exports and what migrations are
 * generated from. `import * as schema from 'rivulet/schema'` gives what `openEngine({ schema })` takes. It is there to
 * learn from and may change in any version: semantic versioning does not cover it.
 */
export { customers, type Customer } from './customers.ts'
export { orderItems, type OrderItem } from './order-items.ts'
export { orders, orderStatus, type Order } from './orders.ts'
export { products, type Product } from './products.ts'
export {
  customersRelations,
  orderItemsRelations,
  ordersRelations,
  productsRelations,
  reviewsRelations,
  usersRelations,
} from './relations.ts'
export { anonymous, customer, staff } from './roles.ts'
export { reviews, type Review } from './reviews.ts'
export { userRole, users, type User } from './users.ts'
