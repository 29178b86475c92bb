// What one writes first: a Fastify handler that selects the rows of a stream by `pg` and returns them as objects.

import fastify from 'fastify'
import pg from 'pg'
import { serveUntilEnded } from './server.ts'

const [databaseUrl = ''] = process.argv.slice(2)
const app = fastify()
// As many connections as the service has in production.
const pool = new pg.Pool({ connectionString: databaseUrl, max: 20 })

interface Row {
  position: string
  version: string
  event_id: string
  event_type: string
  event_data: Buffer
  metadata: unknown
  created_at: Date
}

app.get<{ Params: { stream_id: string }; Querystring: { limit: string } }>(
  '/streams/:stream_id/events',
  async (request) => {
    const { stream_id } = request.params
    const { rows } = await pool.query<Row>({
      name: 'read',
      text: `SELECT position, version, event_id, event_type, event_data, metadata, created_at
        FROM events WHERE stream_id = $1 ORDER BY version LIMIT $2`,
      values: [stream_id, request.query.limit],
    })
    return {
      stream_id,
      version: Number(rows.at(-1)?.version ?? 0),
      events: rows.map((row) => ({
        position: Number(row.position),
        stream_id,
        version: Number(row.version),
        id: row.event_id,
        type: row.event_type,
        data: JSON.parse(row.event_data.toString()) as unknown,
        content_type: 'application/json',
        metadata: row.metadata,
        created_at: row.created_at,
      })),
      next: null,
    }
  },
)
serveUntilEnded(app)
