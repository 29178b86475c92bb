import { collectDefaultMetrics, Gauge } from 'prom-client'
import type { MetricsRegistry } from './registry.ts'

// Gauges with a counter's suffix, which `promtool check metrics` refuses.
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/** CPU, memory, event loop, garbage collection of this process, and the version of Annals. */
export function processMetrics(registry: MetricsRegistry, version: string): void {
  collectDefaultMetrics({ register: registry })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  new Gauge({
    name: 'annals_build_info',
    help: 'Always 1; the version is a label.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version }, 1)
}
