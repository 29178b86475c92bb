// Shapes of consumers: named positions in the feed that the server keeps.

import { type TSchema, Type } from '@sinclair/typebox'
import { EventSchema } from './event-schemas.ts'

/** Names of consumers and of their members. */
export const CONSUMER_NAME = '^[A-Za-z0-9._-]{1,100}$'

const position = (description: string) => Type.Integer({ minimum: 0, description })
const timestamp = (description: string) => Type.String({ format: 'date-time', description })
const orNull = (type: 'string' | 'integer', description: string) =>
  Type.Unsafe<string | number | null>({ type: [type, 'null'], description })
const ref = (schema: TSchema) => Type.Ref(schema.$id as string)
const closed = { additionalProperties: false }
const count = (description: string) => Type.Integer({ minimum: 0, description })

const member = Type.String({
  pattern: CONSUMER_NAME,
  description: 'Who works: 1 to 100 of `A-Za-z0-9._-`. It has one lease at a time.',
  examples: ['worker-1'],
})
const token = Type.String({
  pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
  description: 'The lease, as the claim answered it.',
})
const start = Type.Union([Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }), Type.Literal('head')], {
  description: 'The position after which it begins, 0 for the first event; `head`: only what comes from now on.',
})

export const ConsumerParams = Type.Object({
  name: Type.String({ description: '1 to 100 of `A-Za-z0-9._-`.', examples: ['mailer'] }),
})

const ConsumerFilterSchema = Type.Object(
  {
    types: Type.Optional(Type.Array(Type.String(), { minItems: 1, maxItems: 100 })),
    stream_prefix: Type.Optional(Type.String({ maxLength: 255 })),
    since: Type.Optional(Type.String({ format: 'date-time', description: 'Inclusive, on `created_at`.' })),
    until: Type.Optional(Type.String({ format: 'date-time', description: 'Exclusive, on `created_at`.' })),
    metadata: Type.Optional(
      Type.Record(Type.String(), Type.String(), { description: 'Top-level members of the metadata that are text.' }),
    ),
  },
  { $id: 'ConsumerFilter', ...closed, description: 'As of `GET /events`; all of it has to hold.' },
)

const settings = {
  filter: ref(ConsumerFilterSchema),
  partitions: Type.Integer({
    minimum: 1,
    maximum: 64,
    default: 8,
    description: 'How many members can work at once; the streams are spread over them.',
  }),
  lease_seconds: Type.Integer({
    minimum: 1,
    maximum: 3_600,
    default: 30,
    description: 'How long a member may work on what it claimed before others get it.',
  }),
  max_attempts: Type.Integer({
    minimum: 1,
    maximum: 100,
    default: 5,
    description: 'An event that was handed out this often without success is parked.',
  }),
}

export const NewConsumerSchema = Type.Object(
  {
    filter: Type.Optional(settings.filter),
    start: Type.Optional(start),
    partitions: Type.Optional(settings.partitions),
    lease_seconds: Type.Optional(settings.lease_seconds),
    max_attempts: Type.Optional(settings.max_attempts),
  },
  {
    $id: 'NewConsumer',
    ...closed,
    examples: [{ filter: { types: ['OrderPlaced'], stream_prefix: 'order-' }, start: 0, partitions: 8 }],
  },
)

export const ConsumerSchema = Type.Object(
  {
    name: Type.String(),
    filter: settings.filter,
    start,
    partitions: settings.partitions,
    lease_seconds: settings.lease_seconds,
    max_attempts: settings.max_attempts,
    paused: Type.Boolean(),
    checkpoint: position('Everything up to here is acknowledged, parked, or does not pass the filter.'),
    head: position('Last position of the store.'),
    lag_events: count('Positions between the checkpoint and the head.'),
    lag_seconds: Type.Number({
      minimum: 0,
      description: 'Age of the first event after the checkpoint; 0 without one.',
    }),
    in_flight: count('Events that members work on.'),
    parked: count('Events that were set aside.'),
    replaying: count('Of those, how many wait to be handed out again.'),
    members: Type.Array(
      Type.Object(
        {
          member,
          seen_at: timestamp('When it last claimed.'),
          partitions: Type.Array(Type.Integer(), { description: 'Those that it works on.' }),
          in_flight: count('Events that it works on.'),
          lease_until: orNull('string', 'When its lease ends; null without one.'),
        },
        closed,
      ),
      { description: 'Who claimed lately.' },
    ),
    created_at: timestamp('UTC, microseconds.'),
  },
  { $id: 'Consumer', ...closed },
)

export const ConsumerListSchema = Type.Object(
  { consumers: Type.Array(ref(ConsumerSchema)) },
  { $id: 'ConsumerList', ...closed },
)

export const ConsumerPageSchema = Type.Object(
  {
    checkpoint: position('Where the page begins; exclusive.'),
    events: Type.Array(ref(EventSchema)),
    position: position('Acknowledge this when all events of the page are done.'),
    head: position('Last position of the store.'),
  },
  { $id: 'ConsumerPage', ...closed },
)

export const ClaimSchema = Type.Object(
  {
    member,
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100 })),
    wait: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 60,
        default: 0,
        description: 'Longest wait in seconds when there is nothing.',
      }),
    ),
  },
  { ...closed, examples: [{ member: 'worker-1', limit: 100, wait: 30 }] },
)

export const LeaseSchema = Type.Object(
  {
    token: orNull('string', 'For `ack` and `nack`; null when there is no event.'),
    lease_until: orNull('string', 'When others get what is not acknowledged; null when there is no event.'),
    events: Type.Array(ref(EventSchema), { description: 'By position, so each stream is in order.' }),
    attempts: Type.Array(Type.Integer({ minimum: 1 }), {
      description: 'For each event, in the same order, how often it was handed out; 1 for the first time.',
    }),
    checkpoint: position('Of the consumer.'),
    head: position('Last position of the store.'),
  },
  { $id: 'Lease', ...closed },
)

export const AckSchema = Type.Object(
  {
    token: Type.Optional(token),
    position: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Everything up to here, inclusive. With `token`: those of the lease; all of it when absent.',
      }),
    ),
  },
  { ...closed, examples: [{ token: '0190c6f2-7c1e-4cc3-98c4-dc0c0c07398f' }, { position: 1200 }] },
)

export const NackSchema = Type.Object(
  {
    token,
    action: Type.Union([Type.Literal('retry'), Type.Literal('park')]),
    position: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'The event that failed; everything of the lease when absent.',
      }),
    ),
    reason: Type.Optional(Type.String({ maxLength: 1_000, description: 'Kept with an event that is parked.' })),
    delay_seconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3_600,
        description: 'With `retry`: earliest next attempt; 1, 2, 4 … seconds by attempts when absent.',
      }),
    ),
  },
  {
    ...closed,
    examples: [
      { token: '0190c6f2-7c1e-4cc3-98c4-dc0c0c07398f', action: 'park', position: 7, reason: 'no such customer' },
    ],
  },
)

export const ProgressSchema = Type.Object(
  {
    checkpoint: position('Of the consumer, now.'),
    acknowledged: count(
      'With `token`: events that this call is done with, parked ones among them. Else: positions that the checkpoint moved.',
    ),
    in_flight: count('Events of the lease that are still to be done.'),
    lease_until: orNull('string', 'When the lease ends; null when nothing is left of it.'),
    parked: count('Events that this call set aside.'),
  },
  { $id: 'Progress', ...closed },
)

export const ParkedPageSchema = Type.Object(
  {
    parked: Type.Array(
      Type.Object(
        {
          position: Type.Integer({ minimum: 1 }),
          attempts: count('How often it was handed out.'),
          reason: orNull('string', 'What the member said, or why it was set aside by itself.'),
          parked_at: timestamp('UTC, microseconds.'),
          replaying: Type.Boolean({ description: 'It waits to be handed out again.' }),
          event: ref(EventSchema),
        },
        closed,
      ),
    ),
    next: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Null on the last page.' }),
  },
  { $id: 'ParkedPage', ...closed },
)

export const ReplaySchema = Type.Object(
  { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100 })) },
  { ...closed, examples: [{ limit: 100 }] },
)

export const ReplayedSchema = Type.Object(
  { replaying: count('How many were marked by this call.') },
  { $id: 'Replayed', ...closed },
)

export const ResetSchema = Type.Object({ position: start }, { ...closed, examples: [{ position: 0 }] })

/** Schemas with an `$id` that the routes refer to. */
export const CONSUMER_SCHEMAS: TSchema[] = [
  ConsumerFilterSchema,
  NewConsumerSchema,
  ConsumerSchema,
  ConsumerListSchema,
  ConsumerPageSchema,
  LeaseSchema,
  ProgressSchema,
  ParkedPageSchema,
  ReplayedSchema,
]
