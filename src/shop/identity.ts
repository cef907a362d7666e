/**
 * Whom the shop's tokens stand for. `role` is `customer` or `staff`; of a customer `sub` is the number, which row-level
 * security goes by (`schema/roles.ts`). Who sends no token is `anonymous`.
 */
import type { TokenSettings } from '../config.ts'
import type { Identify } from '../http/front.ts'
import { type JwtClaims, jwtIdentity } from '../jwt/jwt-identity.ts'
import type { Identity } from '../session/identity.ts'

/** The `identity` of the shop's application. @throws ConfigInvalid */
export function shopIdentity(settings: TokenSettings): Identify {
  return jwtIdentity({ ...settings, roles: ['customer', 'staff'], identityOf, anonymous: { role: 'anonymous' } })
}

function identityOf({ role, sub }: JwtClaims): Identity | undefined {
  if (typeof role !== 'string') return undefined
  // Any other name is refused for what it is.
  if (role !== 'customer') return { role }
  const isNumber = typeof sub === 'string' && /^[1-9]\d{0,9}$/.test(sub) && Number(sub) < 2 ** 31
  return isNumber ? { role, settings: { 'request.customer_id': sub } } : undefined
}
