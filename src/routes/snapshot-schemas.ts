// Shapes of snapshots, for the OpenAPI document; what is enforced is in src/contract/snapshot-body.ts.

import { type TSchema, Type } from '@sinclair/typebox'
import { EventSchema, SnapshotSummarySchema } from './event-schemas.ts'

const streamId = Type.String({ minLength: 1, description: '1 to 255 bytes of UTF-8.', examples: ['order-123'] })
const version = Type.Integer({ minimum: 1, description: 'Version of the stream that the state is of.' })
const head = Type.Integer({ minimum: 1, description: 'Version of the last event of the stream.' })
const contentType = Type.String({ maxLength: 255 })
const createdAt = Type.String({ format: 'date-time', description: 'When it was stored; UTC, microseconds.' })
const next = (description: string) => Type.Unsafe<string | null>({ type: ['string', 'null'], description })
const ref = (schema: TSchema) => Type.Ref(schema.$id as string)
const orNull = (schema: TSchema) => Type.Unsafe<object | null>({ anyOf: [ref(schema), { type: 'null' }] })

export const NewSnapshotSchema = Type.Object(
  {
    version,
    state: Type.Optional(
      Type.Unsafe<unknown>({ description: 'Any JSON value; comes back as it was sent. Either this or state_base64.' }),
    ),
    state_base64: Type.Optional(Type.String({ contentEncoding: 'base64' })),
    content_type: Type.Optional(contentType),
  },
  {
    $id: 'NewSnapshot',
    additionalProperties: false,
    examples: [{ version: 100, state: { total: 1250, status: 'paid' } }],
  },
)

export const SnapshotInfoSchema = Type.Object(
  { stream_id: streamId, version, content_type: contentType, created_at: createdAt },
  { $id: 'SnapshotInfo', additionalProperties: false },
)

export const SnapshotSchema = Type.Object(
  {
    stream_id: streamId,
    version,
    state: Type.Optional(Type.Unsafe<unknown>({ description: 'When it was given as JSON.' })),
    state_base64: Type.Optional(Type.String({ contentEncoding: 'base64', description: 'When it was not.' })),
    content_type: contentType,
    created_at: createdAt,
  },
  { $id: 'Snapshot', additionalProperties: false },
)

export const StreamStateSchema = Type.Object(
  {
    stream_id: streamId,
    version: head,
    snapshot: orNull(SnapshotSchema),
    events: Type.Array(ref(EventSchema), { description: 'Those after the snapshot, or from the first one on.' }),
    next: next('The rest as pages of events; null when the page reached the end.'),
  },
  { $id: 'StreamState', additionalProperties: false },
)

export const SnapshotCoverageSchema = Type.Object(
  {
    snapshot_every: Type.Integer({ minimum: 1, description: 'The setting `SNAPSHOT_EVERY`.' }),
    streams: Type.Array(
      Type.Object(
        {
          stream_id: streamId,
          version: head,
          snapshot: orNull(SnapshotSummarySchema),
          events_since_snapshot: Type.Integer({ minimum: 1 }),
        },
        { additionalProperties: false },
      ),
    ),
    checked: Type.Integer({
      minimum: 0,
      description: 'How many streams this page looked at; over all pages it adds up to the number of streams.',
    }),
    next: next('Null after the last stream. A page can be short, or empty, and not be the last one.'),
  },
  { $id: 'SnapshotCoverage', additionalProperties: false },
)

/** Schemas with an `$id` that the routes refer to. */
export const SNAPSHOT_SCHEMAS: TSchema[] = [
  NewSnapshotSchema,
  SnapshotInfoSchema,
  SnapshotSchema,
  StreamStateSchema,
  SnapshotCoverageSchema,
]
