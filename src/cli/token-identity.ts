/**
 * Whom tokens stand for where no program says it: the role that they name, among those that the command allows, and their
 * claims, which policies read as PostgREST's do: `current_setting('request.jwt.claims', true)::json ->> 'sub'`.
 */
import type { TokenSettings } from '../config.ts'
import type { Identify } from '../http/front.ts'
import { jwtIdentity } from '../jwt/jwt-identity.ts'

/** The roles that requests may have. */
export interface TokenRoles {
  readonly roles: readonly string[]
  /** That of requests without a token; undefined: they are refused. */
  readonly anonymous: string | undefined
}

/** The `identity` of `rivulet serve`. @throws ConfigInvalid */
export function tokenIdentity(settings: TokenSettings, { roles, anonymous }: TokenRoles): Identify {
  return jwtIdentity({
    ...settings,
    roles,
    identityOf: (claims) => {
      const { role } = claims
      return typeof role === 'string' ? { role, settings: { 'request.jwt.claims': JSON.stringify(claims) } } : undefined
    },
    anonymous: anonymous === undefined ? undefined : { role: anonymous },
  })
}
