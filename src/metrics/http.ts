import { Counter } from 'prom-client'
import type { RequestObserver } from '../http/request-report.ts'
import { gauge } from './gauge.ts'
import { Histogram, SECONDS } from './histogram.ts'
import type { MetricsRegistry } from './registry.ts'

export interface HttpMetrics extends RequestObserver {
  /** A request that the parser refused, so that it has no route. */
  malformed(status: number): void
  /** An append that was refused at the door, because too many requests waited for their turn. */
  surplus(): void
  /** Mean duration of all requests so far, in ms; null when there was none. */
  meanRequestMs(): number | null
}

/** What the HTTP edge is asked about; called when it is scraped. */
export interface HttpGauges {
  inFlight(): number
  streams(): number
}

/** `http_server_…`: duration per method, route template and status; requests in flight; refused ones. */
export function httpMetrics(registry: MetricsRegistry, gauges: HttpGauges): HttpMetrics {
  const durations = new Histogram({
    name: 'http_server_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer, or to the begin of a stream; status 499: the client left.',
    buckets: SECONDS,
    registry,
  })
  gauge(
    registry,
    'http_server_active_requests',
    'Requests without a complete answer, streams included.',
    gauges.inFlight,
  )
  gauge(registry, 'http_server_open_streams', 'Answers that go on until one side stops.', gauges.streams)
  const malformed = new Counter({
    name: 'http_server_malformed_requests_total',
    help: 'Requests that were refused before they had a route, by status.',
    labelNames: ['status'],
    registers: [registry],
  })
  const surplus = new Counter({
    name: 'http_server_surplus_requests_total',
    help: 'Appends that were refused because too many requests waited for their turn.',
    registers: [registry],
  })
  return {
    meanRequestMs() {
      const { count, sum } = durations.totals()
      return count === 0 ? null : (sum / count) * 1000
    },
    timer: (method, route, status) => durations.series({ method, route, status: String(status) }),
    malformed: (status) => malformed.inc({ status }),
    surplus: () => surplus.inc(),
  }
}
