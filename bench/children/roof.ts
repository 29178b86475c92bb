// The roof: a Fastify route with the body and the answer of an append, and no database behind it.

import fastify from 'fastify'
import { serveUntilEnded } from './server.ts'

const body = {
  type: 'object',
  required: ['events'],
  additionalProperties: false,
  properties: {
    expected_version: {
      anyOf: [
        { type: 'integer', minimum: 0 },
        { type: 'string', enum: ['any', 'exists'] },
      ],
    },
    events: {
      type: 'array',
      minItems: 1,
      maxItems: 1_000,
      items: {
        type: 'object',
        required: ['type'],
        additionalProperties: false,
        properties: {
          id: { type: 'string', format: 'uuid' },
          type: { type: 'string', minLength: 1, maxLength: 255 },
          data: {},
          data_base64: { type: 'string' },
          content_type: { type: 'string', maxLength: 255 },
          metadata: { type: ['object', 'null'] },
        },
      },
    },
  },
} as const

const response = {
  201: {
    type: 'object',
    properties: {
      stream_id: { type: 'string' },
      first_version: { type: 'integer' },
      version: { type: 'integer' },
      first_position: { type: 'integer' },
      position: { type: 'integer' },
      event_ids: { type: 'array', items: { type: 'string' } },
      created_at: { type: 'string' },
      replayed: { type: 'boolean' },
    },
  },
} as const

const app = fastify()
let position = 0

app.post<{ Params: { stream_id: string }; Body: { events: unknown[] } }>(
  '/streams/:stream_id/events',
  { schema: { body, response } },
  async (request, reply) => {
    const first = position + 1
    position += request.body.events.length
    reply.code(201).header('etag', `"${position}"`)
    return {
      stream_id: request.params.stream_id,
      first_version: first,
      version: position,
      first_position: first,
      position,
      event_ids: ['0190c6f2-5d3a-7cc1-9a55-3d1d2f1c0a11'],
      created_at: '2026-01-31T12:00:00.000000Z',
      replayed: false,
    }
  },
)
serveUntilEnded(app)
