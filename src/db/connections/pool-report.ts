// The pool as the operator sees it: what it counts, what it runs with, and what the server says beside it.

import { availableParallelism } from 'node:os'
import type { Profile } from '../../settings.ts'
import type { AdminConnection } from './admin-connection.ts'
import type { MeasuredPool, PoolStats } from './pool.ts'
import type { PoolOptions } from './pool-options.ts'
import { type ServerLimits, type Sizing, sizePool } from './pool-sizing.ts'
import { readServerLimits } from './server-limits.ts'

export interface PoolReportParts {
  pool: MeasuredPool
  admin: AdminConnection
  profile: Profile
  /** Mean duration of the HTTP requests so far, in ms; null when there was none. */
  meanRequestMs(): number | null
}

/** Everything about the pool, as JSON. */
export interface PoolStatus extends PoolStats {
  settings: ReturnType<typeof shownSettings>
  /** Null while the database can't be asked. */
  server: ServerLimits | null
}

/** What is known about the load; what is absent is measured. */
export interface SizingRequest {
  requests_per_second?: number
  hold_ms?: number
  request_ms?: number
  buffer: number
  cores?: number
  spindles: number
  replicas: number
}

export interface SizingAnswer extends Sizing {
  measured: { requests_per_second: number; hold_ms: number | null; request_ms: number | null; cores: number }
}

export interface PoolReport {
  read(): Promise<PoolStatus>
  size(request: SizingRequest): Promise<SizingAnswer>
}

/** Asks the server over the connection beside the pool, and never takes one of the pool. */
export function poolReport({ pool, admin, profile, meanRequestMs }: PoolReportParts): PoolReport {
  const server = () => readServerLimits(admin).catch(() => null)
  return {
    read: async () => ({ ...pool.stats(), settings: shownSettings(pool.options), server: await server() }),
    async size(request) {
      const usage = pool.usage()
      const measured = {
        requests_per_second: round(usage.acquisitions_per_second),
        hold_ms: roundOrNull(usage.hold_ms),
        request_ms: roundOrNull(meanRequestMs()),
        cores: availableParallelism(),
      }
      const sizing = sizePool(
        {
          requestsPerSecond: request.requests_per_second ?? measured.requests_per_second,
          holdMs: request.hold_ms ?? measured.hold_ms,
          requestMs: request.request_ms ?? measured.request_ms,
          buffer: request.buffer,
          cores: request.cores ?? measured.cores,
          spindles: request.spindles,
          replicas: request.replicas,
          poolMax: pool.options.max,
        },
        request.requests_per_second === undefined ? profile : undefined,
        await server(),
      )
      return { ...sizing, measured }
    },
  }
}

const shownSettings = (options: PoolOptions) => ({
  acquire_timeout_ms: options.acquireTimeoutMs,
  connect_timeout_ms: options.connectTimeoutMs,
  idle_timeout_ms: options.idleTimeoutMs,
  max_lifetime_ms: options.maxLifetimeMs,
  test_after_idle_ms: options.testAfterIdleMs,
  query_timeout_ms: options.queryTimeoutMs,
  session: options.session,
  application_name: options.applicationName,
})

const round = (value: number): number => Math.round(value * 1000) / 1000
const roundOrNull = (value: number | null): number | null => (value === null ? null : round(value))
