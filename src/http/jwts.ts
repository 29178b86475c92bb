// JSON Web Tokens, signed with `JWT_SECRET`: for callers whose tokens are made by an issuer and end by themselves.

import { createVerifier, TokenError } from 'fast-jwt'
import { RecentMap } from '../recent-map.ts'
import { type Caller, grantOf, isScope } from './scopes.ts'
import { keyOf } from './tokens.ts'

export interface JwtOptions {
  /** 32 characters or more; the settings see to it. */
  secret: string
  /** Longest time between the issue of a token, or now, and its expiry. */
  maxLifetimeHours: number
}

interface Claims {
  exp: number
  iat?: number
  sub?: unknown
  scope?: unknown
}

// The clock of an issuer may be ahead of ours. Expiry is exact: a token that is over is over.
const CLOCK_TOLERANCE_MS = 5_000
const HOUR_MS = 3_600_000
// Tokens that were verified are known until they expire, so that a signature is computed once and not per request.
const MAX_KNOWN = 10_000
const KNOWN_FOR_MS = 600_000
const LONGEST_SUBJECT = 128

const REASONS = {
  FAST_JWT_INACTIVE: 'The token is not valid yet.',
  FAST_JWT_EXPIRED: 'The token has expired.',
  FAST_JWT_MISSING_REQUIRED_CLAIM: 'The token does not say when it expires (`exp`).',
}

export class Jwts {
  readonly #verify: (token: string) => Claims
  readonly #maxLifetimeMs: number
  readonly #known = new RecentMap<{ caller: Caller; expiresAt: number }>(MAX_KNOWN, KNOWN_FOR_MS)

  constructor({ secret, maxLifetimeHours }: JwtOptions) {
    this.#maxLifetimeMs = maxLifetimeHours * HOUR_MS
    // One algorithm, so that a token can't choose how it is verified. Expiry is looked at here, with each request.
    this.#verify = createVerifier({
      key: secret,
      algorithms: ['HS256'],
      requiredClaims: ['exp'],
      clockTolerance: CLOCK_TOLERANCE_MS,
    }) as (token: string) => Claims
  }

  /** Who holds `token`, or why it opens nothing, or undefined where it is none of ours; `digest` is its SHA-256. */
  read(token: string, digest: Buffer, now = Date.now()): Caller | string | undefined {
    const key = digest.toString('latin1')
    const known = this.#known.get(key)
    if (known !== undefined) return known.expiresAt > now ? known.caller : REASONS.FAST_JWT_EXPIRED
    let claims: Claims
    try {
      claims = this.#verify(token)
    } catch (error) {
      return error instanceof TokenError ? REASONS[error.code as keyof typeof REASONS] : undefined
    }
    const reason = this.#refusal(claims, now)
    if (reason !== undefined) return reason
    const caller = callerOf(claims, digest)
    this.#known.set(key, { caller, expiresAt: claims.exp * 1000 })
    return caller
  }

  #refusal({ exp, iat }: Claims, now: number): string | undefined {
    const expiresAt = exp * 1000
    const issuedAt = iat === undefined ? now : iat * 1000
    if (expiresAt <= now) return REASONS.FAST_JWT_EXPIRED
    if (issuedAt > now + CLOCK_TOLERANCE_MS) return REASONS.FAST_JWT_INACTIVE
    if (expiresAt - issuedAt > this.#maxLifetimeMs) {
      return `The token lives longer than ${this.#maxLifetimeMs / HOUR_MS} hours.`
    }
    return undefined
  }
}

// The claim of RFC 8693: names apart by spaces. Those that are not ours belong to other services.
function callerOf({ scope, sub }: Claims, digest: Buffer): Caller {
  const names = typeof scope === 'string' ? scope.split(' ') : []
  // A caller who gets a new token stays the same caller.
  const isNamed = typeof sub === 'string' && sub !== '' && sub.length <= LONGEST_SUBJECT
  return { grant: grantOf(names.filter(isScope)), key: isNamed ? `sub:${sub}` : keyOf(digest.toString('hex')) }
}
