// What stands between the network and the routes, put together out of the settings: who is let in, how often, from which
// pages, and over what.

import type { Server as TlsServer } from 'node:tls'
import type { Logger } from 'pino'
import type { AppParts } from './app.ts'
import { SettingsError } from './config.ts'
import { isLoopbackName, loopbackAuthorizer, tokenAuthorizer } from './http/authorizer.ts'
import { readOrigins } from './http/origins.ts'
import { rateLimit } from './http/rate-limit.ts'
import { TlsFiles } from './http/tls-files.ts'
import { Tokens } from './http/tokens.ts'
import { readTrustProxy } from './http/trust-proxy.ts'
import { rateLimitMetrics } from './metrics/rate-limit.ts'
import type { MetricsRegistry } from './metrics/registry.ts'
import type { Buckets, Rate } from './rate-limit/buckets.ts'
import { LocalBuckets } from './rate-limit/local-buckets.ts'
import type { HealthReport } from './routes/health.ts'
import type { Settings } from './settings.ts'

/** Who counts: all instances in Redis, this one for itself, or this one at the strict rate because Redis is lost. */
export type RateLimitMode = 'shared' | 'local' | 'strict'

export interface Guard {
  parts: Pick<AppParts, 'authorizer' | 'hasHsts' | 'origins' | 'rateLimit' | 'tls' | 'trustProxy'>
  /** What `/health` says of it. */
  health(): Pick<HealthReport, 'checks' | 'degraded'>
  /** Takes up changes of the files from now on, for those of the servers that speak TLS. */
  watch(servers: unknown[]): void
  close(): void
}

export interface GuardOptions {
  settings: Readonly<Settings>
  logger: Logger
  registry: MetricsRegistry
}

/** @throws SettingsError for what can't be used, or must not be used together */
export async function createGuard({ settings, logger, registry }: GuardOptions): Promise<Guard> {
  const sources = { list: settings.ANNALS_TOKENS, file: settings.ANNALS_TOKENS_FILE }
  const needsToken = Tokens.areConfigured(sources) || settings.JWT_SECRET !== undefined
  if (!needsToken && !isLoopbackName(settings.HOST)) throw openToOthers(settings.HOST)
  const origins = readOrigins(settings.CORS_ALLOWED_ORIGINS, settings.APP_ENV, needsToken)
  const trustProxy = readTrustProxy(settings.TRUST_PROXY)
  const tokens = needsToken ? new Tokens(sources) : undefined
  const jwts = await jwtsOf(settings)
  const tls = tlsFilesOf(settings)
  const hasHsts = isOn(settings.ENABLE_HSTS ?? (tls === undefined ? 'off' : 'on'))
  if (hasHsts && tls === undefined && trustProxy === undefined) {
    logger.warn('ENABLE_HSTS does nothing: it needs TLS_CERT_FILE, or TRUST_PROXY to believe X-Forwarded-Proto')
  }
  const limit = await limitOf(settings, logger)
  if (limit !== undefined) rateLimitMetrics(registry, limit.mode)

  return {
    parts: {
      authorizer: tokens === undefined ? loopbackAuthorizer(origins) : tokenAuthorizer(tokens, jwts),
      hasHsts,
      origins,
      rateLimit: limit && rateLimit(limit.buckets),
      tls: tls?.pair,
      trustProxy,
    },
    health() {
      if (limit === undefined) return { checks: {}, degraded: [] }
      const mode = limit.mode()
      const { perSecond: per_second, burst } = limit.rate
      const isLost = settings.REDIS_URL !== undefined && mode !== 'shared'
      return { checks: { rate_limit: { mode, per_second, burst } }, degraded: isLost ? ['rate_limit'] : [] }
    },
    watch(servers) {
      tokens?.watch(logger)
      tls?.watch(servers.filter(isTlsServer), logger)
    },
    close() {
      tokens?.close()
      tls?.close()
      limit?.close()
    },
  }
}

interface Limit {
  buckets: Buckets
  rate: Rate
  mode(): RateLimitMode
  close(): void
}

// Ten a minute: little enough that a lost Redis opens no door (docs/decisions/0015).
const STRICT: Rate = { name: 'strict', perSecond: 10 / 60, burst: 10 }

async function limitOf(settings: Readonly<Settings>, logger: Logger): Promise<Limit | undefined> {
  const { RATE_LIMIT_PER_SECOND: perSecond, REDIS_URL: url, RATE_LIMIT_FALLBACK: fallback } = settings
  if (perSecond === undefined) {
    if (url !== undefined) logger.warn('REDIS_URL is set, but RATE_LIMIT_PER_SECOND is not: Redis is not used')
    return undefined
  }
  const rate: Rate = { name: 'client', perSecond, burst: settings.RATE_LIMIT_BURST ?? 2 * perSecond }
  if (url === undefined) return { buckets: new LocalBuckets(rate), rate, mode: () => 'local', close() {} }
  // Loaded only here: its client takes a third of a second to load.
  const { SharedBuckets } = await import('./rate-limit/shared-buckets.ts')
  const buckets = new SharedBuckets({
    url,
    rate,
    fallbackRate: fallback === 'strict' ? STRICT : rate,
    onChange(isShared, reason) {
      if (isShared) logger.info('the rate limit is counted in Redis')
      else logger.error({ reason, mode: fallback }, 'Redis is lost: this instance counts the rate limit by itself')
    },
  })
  return { buckets, rate, mode: () => (buckets.isShared ? 'shared' : fallback), close: () => buckets.close() }
}

async function jwtsOf({ JWT_SECRET: secret, JWT_EXPIRATION_HOURS: maxLifetimeHours }: Readonly<Settings>) {
  if (secret === undefined) return undefined
  const { Jwts } = await import('./http/jwts.ts')
  return new Jwts({ secret, maxLifetimeHours })
}

const tlsFilesOf = ({ TLS_CERT_FILE: cert, TLS_KEY_FILE: key }: Readonly<Settings>): TlsFiles | undefined =>
  cert === undefined || key === undefined ? undefined : new TlsFiles({ cert, key })

const isOn = (value: 'on' | 'off' | 'true' | 'false'): boolean => value === 'on' || value === 'true'

const isTlsServer = (server: unknown): server is TlsServer =>
  typeof (server as Partial<TlsServer> | undefined)?.setSecureContext === 'function'

const openToOthers = (host: string): SettingsError =>
  new SettingsError(
    `HOST is ${JSON.stringify(host)}, which others can reach: set ANNALS_TOKENS (for instance admin:<a secret of 16 or more characters>), ANNALS_TOKENS_FILE or JWT_SECRET, or listen on 127.0.0.1`,
  )
