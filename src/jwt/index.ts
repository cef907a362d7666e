/** `rivulet/jwt`: who a request is, by its JSON Web Token. */
export {
  type JwtAlgorithm,
  type JwtClaims,
  jwtIdentity,
  type JwtOptions,
  type PublicKeyAlgorithm,
  type SecretAlgorithm,
} from './jwt-identity.ts'
