// What a pool is told: limits, names, and how its connections are configured.

import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import type { Settings } from '../../settings.ts'
import type { ClientSettings } from './pool-client.ts'
import { RESULT_TYPES } from './result-types.ts'

export interface PoolObserver {
  acquired(waitSeconds: number): void
  released(useSeconds: number): void
  created(seconds: number): void
  timedOut(kind: 'queue' | 'connect'): void
  /** A connection could not be opened, or died. */
  failed(error: Error): void
}

export interface PoolOptions {
  url: string
  max: number
  min: number
  acquireTimeoutMs: number
  connectTimeoutMs: number
  idleTimeoutMs: number
  maxLifetimeMs: number
  testAfterIdleMs: number
  queryTimeoutMs: number
  /** Session settings such as `statement_timeout`; not applied behind a pooler, where they would leak to others. */
  session: Readonly<Record<string, string>>
  /** At most 63 bytes; what `pg_stat_activity` shows. */
  applicationName: string
  observer?: PoolObserver
  /** See {@link ClientSettings}. */
  introduce?: ClientSettings['introduce']
}

/** The pool's options out of the settings of the service. */
export const poolOptions = (settings: Settings, url: string, applicationName: string): PoolOptions => ({
  url,
  max: settings.DATABASE_MAX_CONNECTIONS,
  min: settings.DATABASE_MIN_CONNECTIONS,
  acquireTimeoutMs: settings.DATABASE_ACQUIRE_TIMEOUT_MS,
  connectTimeoutMs: settings.DATABASE_CONNECT_TIMEOUT_MS,
  idleTimeoutMs: settings.DATABASE_IDLE_TIMEOUT_SECONDS * 1000,
  maxLifetimeMs: settings.DATABASE_MAX_LIFETIME_SECONDS * 1000,
  testAfterIdleMs: settings.DATABASE_TEST_AFTER_IDLE_MS,
  queryTimeoutMs: settings.DATABASE_QUERY_TIMEOUT_MS,
  session: {
    statement_timeout: `${settings.DATABASE_STATEMENT_TIMEOUT_MS}`,
    lock_timeout: `${settings.DATABASE_LOCK_TIMEOUT_MS}`,
    // Every statement of ours is short; compiling one takes longer than running it.
    jit: 'off',
    // A service that stops in the middle of a transaction must not hold the head's lock for ever.
    idle_in_transaction_session_timeout: `${settings.DATABASE_QUERY_TIMEOUT_MS}`,
  },
  applicationName,
})

/** A name for `pg_stat_activity` that no other process has, so that its connections can be counted. */
export const applicationName = (version: string): string => `annals/${version} ${randomBytes(4).toString('hex')}`

/** What the pool's own connections are configured with; also right for a single connection beside it. */
export function clientConfig(url: string, name: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: name,
    types: RESULT_TYPES,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  }
}
