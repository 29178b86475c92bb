// Shapes of events and of what appends and reads answer, for the OpenAPI document. Hot answers are ready-made text,
// so these describe; what is enforced is in src/contract.

import { type TSchema, Type } from '@sinclair/typebox'

const position = Type.Integer({ minimum: 1, description: 'Place in the feed of all events; contiguous from 1.' })
const version = Type.Integer({ minimum: 1, description: 'Place in the stream; contiguous from 1.' })
const timestamp = Type.String({
  format: 'date-time',
  description: 'UTC, microseconds.',
  examples: ['2026-01-31T12:00:00.123456Z'],
})
const streamId = Type.String({ minLength: 1, description: '1 to 255 bytes of UTF-8.', examples: ['order-123'] })
const json = (description: string) => Type.Unsafe<unknown>({ description })

/** Path parameters; percent-encode the id, `/` included. */
export const StreamParams = Type.Object({
  stream_id: Type.String({ description: '1 to 255 bytes of UTF-8, percent-encoded.', examples: ['order-123'] }),
})

const ExpectedVersionSchema = Type.Unsafe<number | string>({
  $id: 'ExpectedVersion',
  anyOf: [{ type: 'integer', minimum: 0 }, { enum: ['any', 'exists'] }],
  default: 'any',
  description: 'The version the stream has to be at; 0 = it has no event yet.',
})

const NewEventSchema = Type.Object(
  {
    id: Type.Optional(
      Type.String({ format: 'uuid', description: 'Lower-case UUID; makes retries safe. A version 7 one when absent.' }),
    ),
    type: Type.String({ minLength: 1, description: '1 to 255 bytes of UTF-8.', examples: ['OrderPlaced'] }),
    data: Type.Optional(json('Any JSON value; comes back as it was sent. Not together with data_base64.')),
    data_base64: Type.Optional(Type.String({ contentEncoding: 'base64' })),
    content_type: Type.Optional(Type.String({ maxLength: 255 })),
    metadata: Type.Optional(Type.Unsafe<object | null>({ type: ['object', 'null'], description: 'At most 64 KiB.' })),
  },
  { $id: 'NewEvent', additionalProperties: false },
)

export const EventSchema = Type.Object(
  {
    position,
    stream_id: streamId,
    version,
    id: Type.String({ format: 'uuid' }),
    type: Type.String(),
    data: Type.Optional(json('When it was given as JSON.')),
    data_base64: Type.Optional(Type.String({ contentEncoding: 'base64', description: 'When it was not.' })),
    content_type: Type.String(),
    metadata: Type.Unsafe<object | null>({ type: ['object', 'null'] }),
    created_at: timestamp,
  },
  { $id: 'Event', additionalProperties: false },
)

export const AppendedSchema = Type.Object(
  {
    stream_id: streamId,
    first_version: version,
    version,
    first_position: position,
    position,
    event_ids: Type.Array(Type.String({ format: 'uuid' })),
    created_at: timestamp,
    replayed: Type.Boolean({ description: 'The answer of an earlier, equal request.' }),
  },
  {
    $id: 'Appended',
    additionalProperties: false,
    examples: [
      {
        stream_id: 'order-123',
        first_version: 1,
        version: 1,
        first_position: 1,
        position: 1,
        event_ids: ['0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f'],
        created_at: '2026-01-31T12:00:00.123456Z',
        replayed: false,
      },
    ],
  },
)

const StreamInfoSchema = Type.Object(
  { stream_id: streamId, version, created_at: timestamp, updated_at: timestamp },
  { $id: 'StreamInfo', additionalProperties: false },
)

export const SnapshotSummarySchema = Type.Object(
  { version, created_at: timestamp },
  { $id: 'SnapshotSummary', additionalProperties: false },
)

export const StreamStandingSchema = Type.Object(
  {
    ...StreamInfoSchema.properties,
    snapshot: Type.Unsafe<object | null>({
      anyOf: [Type.Ref(SnapshotSummarySchema.$id as string), { type: 'null' }],
      description: 'The stored snapshot, without its state.',
    }),
    events_since_snapshot: Type.Integer({
      minimum: 0,
      description: 'Events after the snapshot, or all of them; above `SNAPSHOT_EVERY` a new snapshot pays.',
    }),
  },
  { $id: 'StreamStanding', additionalProperties: false },
)

const ref = (schema: TSchema) => Type.Ref(schema.$id as string)
const next = (description: string) => Type.Unsafe<string | null>({ type: ['string', 'null'], description })

export const AppendSchema = Type.Object(
  {
    expected_version: Type.Optional(ref(ExpectedVersionSchema)),
    events: Type.Array(ref(NewEventSchema), { minItems: 1, maxItems: 1000 }),
  },
  {
    $id: 'Append',
    additionalProperties: false,
    examples: [{ expected_version: 0, events: [{ type: 'OrderPlaced', data: { total: 10 } }] }],
  },
)

export const MultiAppendSchema = Type.Object(
  {
    appends: Type.Array(
      Type.Object(
        {
          stream_id: streamId,
          expected_version: Type.Optional(ref(ExpectedVersionSchema)),
          events: Type.Array(ref(NewEventSchema), { minItems: 1 }),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 100 },
    ),
    checks: Type.Optional(
      Type.Array(
        Type.Object(
          { stream_id: streamId, expected_version: ref(ExpectedVersionSchema) },
          { additionalProperties: false },
        ),
        { maxItems: 100 },
      ),
    ),
    atomic: Type.Optional(Type.Boolean({ default: true })),
  },
  {
    $id: 'MultiAppend',
    additionalProperties: false,
    examples: [
      {
        appends: [{ stream_id: 'order-123', expected_version: 'any', events: [{ type: 'OrderPaid' }] }],
        checks: [{ stream_id: 'customer-7', expected_version: 'exists' }],
      },
    ],
  },
)

export const MultiAppendedSchema = Type.Object(
  { position, replayed: Type.Boolean({ examples: [false] }), results: Type.Array(ref(AppendedSchema)) },
  { $id: 'MultiAppended', additionalProperties: false },
)

export const AppendResultsSchema = Type.Object(
  {
    results: Type.Array(
      Type.Object(
        {
          status: Type.Integer(),
          body: Type.Unsafe<object>({ type: 'object', description: 'Appended, or a problem.' }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { $id: 'AppendResults', additionalProperties: false },
)

export const StreamPageSchema = Type.Object(
  {
    stream_id: streamId,
    version: Type.Integer({ minimum: 1, description: 'Version of the last event of the stream.' }),
    events: Type.Array(ref(EventSchema)),
    next: next('Null when the page reached the end.'),
  },
  { $id: 'StreamPage', additionalProperties: false },
)

export const FeedPageSchema = Type.Object(
  {
    events: Type.Array(ref(EventSchema)),
    head: Type.Integer({ minimum: 0, description: 'Last position of the store.' }),
    next: next('Always there forwards, to be polled; null backwards after position 1.'),
  },
  { $id: 'FeedPage', additionalProperties: false },
)

export const StreamListSchema = Type.Object(
  { streams: Type.Array(ref(StreamInfoSchema)), next: next('Null on the last page.') },
  { $id: 'StreamList', additionalProperties: false },
)

/** Schemas with an `$id` that the routes refer to. */
export const EVENT_SCHEMAS: TSchema[] = [
  ExpectedVersionSchema,
  NewEventSchema,
  EventSchema,
  AppendedSchema,
  StreamInfoSchema,
  SnapshotSummarySchema,
  StreamStandingSchema,
  AppendSchema,
  MultiAppendSchema,
  MultiAppendedSchema,
  AppendResultsSchema,
  StreamPageSchema,
  FeedPageSchema,
  StreamListSchema,
]
