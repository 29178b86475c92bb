// Appends by @event-driven-io/emmett-postgresql in this process: one event each, to random streams, no expectation.

import pg from 'pg'
import { dataOf, EVENT_TYPE, FIRST_SERIAL } from '../harness/events.ts'
import { importPeer } from '../harness/peer-packages.ts'
import type { Figures } from '../harness/statistics.ts'
import { serveTask } from './child.ts'
import { Series } from './series.ts'

export interface EmmettTask {
  databaseUrl: string
  seconds: number
  concurrency: number
  connections: number
  streams: number
}

/** The part of emmett that is used here. */
interface Emmett {
  getPostgreSQLEventStore(
    url: string,
    options: { connectionOptions: { pool: pg.Pool } },
  ): {
    appendToStream(stream: string, events: { type: string; data: unknown }[]): Promise<unknown>
    schema: { migrate(): Promise<unknown> }
    close(): Promise<void>
  }
}

/** Two that come at the same time to the same stream collide in spite of having no expectation; who uses it tries again. */
function isCollision(error: Error): true {
  if (error.message.includes('NO_CONCURRENCY_CHECK does not match')) return true
  throw error
}

const WARM_UP_MS = 500

serveTask(async (task: EmmettTask): Promise<Figures> => {
  const { getPostgreSQLEventStore } = (await importPeer('@event-driven-io/emmett-postgresql')) as Emmett
  const pool = new pg.Pool({ connectionString: task.databaseUrl, max: task.connections })
  const store = getPostgreSQLEventStore(task.databaseUrl, { connectionOptions: { pool } })
  await store.schema.migrate()
  const latencies = new Series()
  const measuredFrom = performance.now() + WARM_UP_MS
  const endsAt = measuredFrom + task.seconds * 1000
  let serial = FIRST_SERIAL
  await Promise.all(
    Array.from({ length: task.concurrency }, async () => {
      for (let now = performance.now(); now < endsAt; ) {
        const stream = `order-${Math.floor(Math.random() * task.streams)}`
        const event = { type: EVENT_TYPE, data: JSON.parse(dataOf(serial++)) as unknown }
        while (await store.appendToStream(stream, [event]).then(() => false, isCollision));
        const then = performance.now()
        if (then >= measuredFrom) latencies.push(then - now)
        now = then
      }
    }),
  )
  const elapsed = (performance.now() - measuredFrom) / 1000
  await store.close()
  await pool.end()
  const sorted = latencies.values.sort()
  return {
    per_second: sorted.length / elapsed,
    p50_ms: sorted[Math.floor(sorted.length * 0.5)] ?? Number.NaN,
    p99_ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
  }
})
