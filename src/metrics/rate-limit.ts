import { labelledGauge } from './gauge.ts'
import type { MetricsRegistry } from './registry.ts'

const MODES = ['shared', 'local', 'strict'] as const

/** `annals_rate_limit_mode`: who counts the requests of a client. Only where there is a limit. */
export function rateLimitMetrics(registry: MetricsRegistry, mode: () => (typeof MODES)[number]): void {
  labelledGauge(
    registry,
    'annals_rate_limit_mode',
    '1 for the mode in force: shared (counted in Redis), local (by this process), strict (Redis is lost).',
    'mode',
    () => MODES.map((each) => [each, each === mode() ? 1 : 0] as const),
  )
}
