import { Gauge } from 'prom-client'
import type { MetricsRegistry } from './registry.ts'

const MODES = ['shared', 'local', 'strict'] as const

/** `annals_rate_limit_mode`: who counts the requests of a client. Only where there is a limit. */
export function rateLimitMetrics(registry: MetricsRegistry, mode: () => (typeof MODES)[number]): void {
  new Gauge({
    name: 'annals_rate_limit_mode',
    help: '1 for the mode in force: shared (counted in Redis), local (by this process), strict (Redis is lost).',
    labelNames: ['mode'],
    registers: [registry],
    collect() {
      const current = mode()
      for (const each of MODES) this.set({ mode: each }, each === current ? 1 : 0)
    },
  })
}
