// What the OpenAPI document shows: problems as the service answers them, and what streams look like.

import { AppError, ERRORS, type ErrorCode, toProblem } from '../errors.ts'

export type Json = Record<string, unknown>

const REQUEST_ID = 'req-7f3a'

const EVENT_LINE =
  '{"position":1,"stream_id":"order-123","version":1,"id":"0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f","type":"OrderPlaced","data":{"total":10},"content_type":"application/json","metadata":null,"created_at":"2026-01-31T12:00:00.000000Z"}'

/** Media type to how a success of that type looks. */
export const STREAMS: Record<string, Json> = {
  'application/x-ndjson': {
    schema: { type: 'string', description: 'One event a line.' },
    example: `${EVENT_LINE}\n`,
  },
  'text/event-stream': {
    schema: { type: 'string', description: 'Server-sent events that go on until one side stops.' },
    example: `id: 1\nevent: event\ndata: ${EVENT_LINE}\n\n`,
  },
}

// Members that a problem has beside the standard ones, as the service answers them.
const MEMBERS: Partial<Record<ErrorCode, { detail: string; members: Json }>> = {
  validation_failed: {
    detail: 'limit must be a whole number from 1 to 1000.',
    members: { errors: [{ pointer: 'query/limit', rule: 'out_of_range' }] },
  },
  forbidden: { detail: 'The token lacks the scope append.', members: { scope: 'append' } },
  not_acceptable: {
    detail: 'This route answers with application/json.',
    members: { offered: ['application/json'] },
  },
  payload_too_large: {
    detail: 'The body is larger than 5242880 bytes.',
    members: { limit_bytes: 5_242_880 },
  },
  version_conflict: {
    detail: 'The stream order-123 is at version 6, not 4.',
    members: { stream_id: 'order-123', expected_version: 4, current_version: 6 },
  },
  unstorable_value: {
    detail: '/events/0/data/name: nul_character',
    members: { errors: [{ pointer: '/events/0/data/name', rule: 'nul_character' }] },
  },
  event_id_reused: {
    detail: 'One event id is already used for another event.',
    members: { event_ids: ['0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f'] },
  },
  snapshot_older: {
    detail: 'A snapshot of version 200 is stored.',
    members: { stream_id: 'order-123', version: 100, snapshot_version: 200 },
  },
  snapshot_ahead: {
    detail: 'The stream is at version 142, not at 200.',
    members: { stream_id: 'order-123', version: 200, current_version: 142 },
  },
  consumer_differs: {
    detail: 'The consumer mailer exists with another start or number of partitions.',
    members: { start: 0, partitions: 8 },
  },
  not_ready: { detail: 'The service is not ready: database.', members: { reasons: ['database'] } },
}

/** The problem with this code as a route answers it. */
export function exampleOf(code: ErrorCode, status = ERRORS[code].status): Json {
  const { detail, members } = MEMBERS[code] ?? { detail: `${ERRORS[code].title}.`, members: {} }
  return toProblem(new AppError(code, detail, { members, status }), REQUEST_ID)
}
