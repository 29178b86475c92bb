// INSERT transactions by `pg`, prepared, each client with one statement under way.

import pg from 'pg'
import { insertData, insertText, type PgInsertTask, ROWS_PER_CLIENT } from '../harness/raw-insert.ts'
import type { Figures } from '../harness/statistics.ts'
import { serveTask } from './child.ts'
import { Series } from './series.ts'

serveTask(async (task: PgInsertTask): Promise<Figures> => {
  const { databaseUrl, seconds, rows, streams } = task
  const clients = Array.from({ length: task.clients }, () => new pg.Client({ connectionString: databaseUrl }))
  await Promise.all(clients.map((client) => client.connect()))
  // The server would take the sum for an integer, so it needs to be told that it is large.
  const text = insertText(rows, { stream: '$1', position: '$2::bigint', data: '$3' }, task.idSql)
  const data = insertData(rows)
  const latencies = new Series()
  const startedAt = performance.now()
  const endsAt = startedAt + seconds * 1000
  await Promise.all(
    clients.map(async (client, index) => {
      let position = task.firstPosition + index * ROWS_PER_CLIENT
      for (let now = startedAt; now < endsAt; ) {
        const values = [String(Math.floor(Math.random() * streams)), position, data]
        position += rows
        await client.query({ name: 'insert', text, values })
        const then = performance.now()
        latencies.push(then - now)
        now = then
      }
    }),
  )
  const elapsed = (performance.now() - startedAt) / 1000
  await Promise.all(clients.map((client) => client.end()))
  const sorted = latencies.values.sort()
  return {
    per_second: (sorted.length * rows) / elapsed,
    p50_ms: sorted[Math.floor(sorted.length * 0.5)] ?? Number.NaN,
    p99_ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
  }
})
