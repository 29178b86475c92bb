// Whether the store is sound, for the operator: the checks of `annals verify`, a piece a request.

import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { checkStreamId } from '../contract/stream-id.ts'
import type { IntegrityReport } from '../db/integrity/integrity-report.ts'
import { queryError } from '../http/query.ts'
import { numberParameter, pageLink, READ_PROBLEMS } from './read-parameters.ts'
import { problems } from './schemas.ts'

export interface IntegrityRoutesOptions {
  integrity: Pick<IntegrityReport, 'check'>
}

const DEFAULT_ROWS = 10_000
const MAX_ROWS = 50_000

const IntegrityQuerySchema = Type.Object({
  after: numberParameter('Events after this position; from the beginning when absent.'),
  snapshots_after: Type.Optional(
    Type.String({
      maxLength: 255,
      description: 'Snapshots instead of events, of streams after this id; empty for all. As `next` has it.',
    }),
  ),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_ROWS,
      description: `Events or snapshots that this request looks at, ${DEFAULT_ROWS} when absent; a smaller one takes less time.`,
    }),
  ),
})

const IntegritySchema = Type.Object(
  {
    is_sound: Type.Boolean({ description: 'Nothing was found in this piece.' }),
    findings: Type.Array(
      Type.Object({
        rule: Type.String({ description: 'What does not hold, such as `position_gap` or `object_missing`.' }),
        detail: Type.String(),
        position: Type.Union([Type.Integer(), Type.Null()]),
        stream_id: Type.Union([Type.String(), Type.Null()]),
      }),
    ),
    events: Type.Integer({ description: 'Looked at by this request.' }),
    snapshots: Type.Integer(),
    checked_to: Type.Union([Type.Integer(), Type.Null()], {
      description: 'Every event up to this position has been looked at, by this request and those before it.',
    }),
    head: Type.Integer({ description: 'The last position.' }),
    rows_checked: Type.Boolean({
      description: 'False when an index is missing that this needs; `annals verify` looks at the rows all the same.',
    }),
    next: Type.Union([Type.String(), Type.Null()], {
      description: 'Goes on with the next piece; null after the last.',
    }),
  },
  { description: 'One piece of the store.' },
)

/** `GET /integrity`. */
export function integrityRoutes(app: FastifyInstance, { integrity }: IntegrityRoutesOptions): void {
  app.get(
    '/integrity',
    {
      config: { scope: 'admin', isNeverCached: true },
      schema: {
        operationId: 'checkIntegrity',
        tags: ['operations'],
        summary: 'Check a piece of the store',
        description:
          'Every request looks at the schema (constraints, indexes, triggers), the head and the consumers, and at `limit` events: positions, versions, ids. Follow `next` until it is null: after the events come the snapshots. What is appended meanwhile does no harm. The whole store at once: `annals verify`.',
        querystring: IntegrityQuerySchema,
        response: { 200: IntegritySchema, ...problems('stream_id_invalid', ...READ_PROBLEMS) },
      },
    },
    async (request) => {
      const read = request.query as { after?: number; snapshots_after?: string; limit?: number }
      const { after, snapshots_after: snapshotsAfter, limit = DEFAULT_ROWS } = read
      if (after !== undefined && snapshotsAfter !== undefined) {
        throw queryError('after', 'one_cursor', 'is of events, and `snapshots_after` of snapshots.')
      }
      if (snapshotsAfter !== undefined && snapshotsAfter !== '') checkStreamId(snapshotsAfter)
      const piece = await integrity.check({
        limit,
        ...(after !== undefined && { after }),
        ...(snapshotsAfter !== undefined && { snapshotsAfter }),
      })
      const { findings, events, snapshots, checkedTo, head, isIndexed, next } = piece
      const isSound = findings.length === 0
      const counts = { events, snapshots, checked_to: checkedTo, head, rows_checked: isIndexed }
      return {
        is_sound: isSound,
        findings,
        ...counts,
        next:
          next &&
          pageLink('/integrity', { after: next.after, snapshots_after: next.snapshotsAfter, limit: read.limit }),
      }
    },
  )
}
