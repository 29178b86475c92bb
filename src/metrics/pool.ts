import { Counter } from 'prom-client'
import type { PoolStats } from '../db/connections/pool.ts'
import type { PoolObserver } from '../db/connections/pool-options.ts'
import { gauge, labelledGauge } from './gauge.ts'
import { Histogram, SECONDS } from './histogram.ts'
import type { MetricsRegistry } from './registry.ts'

/** `db_client_connection_…`: how many connections there are, and how long callers wait for, use and open them. */
export function poolMetrics(registry: MetricsRegistry, stats: () => PoolStats): PoolObserver {
  labelledGauge(registry, 'db_client_connection_count', 'Open connections by state.', 'state', () => {
    const { idle, used } = stats()
    return [
      ['idle', idle],
      ['used', used],
    ]
  })
  const ofPool = (name: string, help: string, valueOf: (stats: PoolStats) => number) =>
    gauge(registry, name, help, () => valueOf(stats()))
  ofPool('db_client_connection_max', 'Largest number of connections.', ({ max }) => max)
  ofPool('db_client_connection_idle_min', 'Connections that are kept open and warm.', ({ min }) => min)
  ofPool('db_client_connection_pending_requests', 'Callers that wait for a connection.', ({ waiting }) => waiting)

  const seconds = (name: string, help: string) => new Histogram({ name, help, buckets: SECONDS, registry }).series()
  const waits = seconds('db_client_connection_wait_time_seconds', 'Time until a caller got a connection.')
  const uses = seconds('db_client_connection_use_time_seconds', 'Time from getting a connection to returning it.')
  const creations = seconds('db_client_connection_create_time_seconds', 'Time to open a connection.')

  const timeouts = new Counter({
    name: 'db_client_connection_timeouts_total',
    help: 'Callers that got no connection in time: none came free (queue), or none could be opened (connect).',
    labelNames: ['kind'],
    registers: [registry],
  })
  const queue = { kind: 'queue' }
  const connect = { kind: 'connect' }
  timeouts.inc(queue, 0)
  timeouts.inc(connect, 0)
  const errors = new Counter({
    name: 'db_client_connection_errors_total',
    help: 'Connections that could not be opened, or died.',
    registers: [registry],
  })
  return {
    acquired: (waitSeconds) => waits.observe(waitSeconds),
    released: (useSeconds) => uses.observe(useSeconds),
    created: (createSeconds) => creations.observe(createSeconds),
    timedOut: (kind) => timeouts.inc(kind === 'queue' ? queue : connect),
    failed: () => errors.inc(),
  }
}
