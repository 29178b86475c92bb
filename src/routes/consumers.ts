// Consumers: named positions that the server keeps. Making and changing them, where they stand, what they set aside.

import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { filterJson } from '../consumers/consumer-filter.ts'
import { readConsumerBody } from '../contract/consumer-body.ts'
import type { ConsumerStanding, ConsumerStore } from '../db/consumers/consumer-store.ts'
import {
  consumerAnswers,
  consumerLimit,
  consumerName,
  consumerRoute,
  ref,
  WRITE_PROBLEMS,
} from './consumer-parameters.ts'
import {
  ConsumerListSchema,
  ConsumerSchema,
  NewConsumerSchema,
  ParkedPageSchema,
  ReplayedSchema,
  ReplaySchema,
  ResetSchema,
} from './consumer-schemas.ts'
import { DEFAULT_LIMIT, numberParameter, pageLink, READ_PROBLEMS } from './read-parameters.ts'
import { problems } from './schemas.ts'

export interface ConsumerRoutesOptions {
  consumers: ConsumerStore
}

const NoMembersSchema = Type.Object({}, { additionalProperties: false })

const ParkedQuery = Type.Object({ after: numberParameter('Position; exclusive.'), limit: consumerLimit })

/** `/consumers`, and what manages one of them. */
export function consumerRoutes(app: FastifyInstance, { consumers }: ConsumerRoutesOptions): void {
  const make = consumerRoute(
    'append',
    'saveConsumer',
    'Make a consumer, or change it',
    'A consumer is a position in the feed that has a name and a filter, and is kept by the server; there can be 100. `filter`, `lease_seconds` and `max_attempts` are replaced each time (absent: the default) and hold for what is handed out from then on. `start` and `partitions` are given once: later they have to be the same or absent, else 409 `consumer_differs`. A stream belongs to the partition `n % partitions`, where `n` is the first four bytes of the SHA-256 of its id.',
    {
      body: ref(NewConsumerSchema),
      response: {
        200: { ...ref(ConsumerSchema), description: 'Changed, or the same as before.' },
        201: { ...ref(ConsumerSchema), description: 'New.' },
        ...problems(
          'malformed_request',
          'validation_failed',
          'consumer_differs',
          'too_many_consumers',
          'cursor_ahead',
          'payload_too_large',
          'unsupported_media_type',
          ...WRITE_PROBLEMS,
        ),
      },
    },
  )
  app.put(
    '/consumers/:name',
    { config: { ...make.config, checksBody: true }, schema: make.schema },
    async (request, reply) => {
      const name = consumerName(request)
      const { isNew, consumer } = await consumers.put(name, readConsumerBody(request.body))
      if (isNew) reply.header('location', `/consumers/${name}`)
      return reply.code(isNew ? 201 : 200).send(consumerBody(consumer))
    },
  )

  app.get(
    '/consumers',
    {
      config: { scope: 'read', isNeverCached: true },
      schema: {
        operationId: 'listConsumers',
        tags: ['consumers'],
        summary: 'List all consumers',
        response: { 200: ref(ConsumerListSchema), ...problems(...READ_PROBLEMS) },
      },
    },
    async () => ({ consumers: (await consumers.list()).map(consumerBody) }),
  )

  const read = consumerRoute(
    'read',
    'getConsumer',
    'Where a consumer stands',
    'Checkpoint, lag, members, and what is parked.',
    { response: consumerAnswers({ 200: ref(ConsumerSchema) }, ...READ_PROBLEMS) },
  )
  app.get('/consumers/:name', read, async (request) => consumerBody(await consumers.read(consumerName(request))))

  const remove = consumerRoute(
    'append',
    'deleteConsumer',
    'Remove a consumer',
    'With its position, leases and parked events; no event is touched.',
    { response: consumerAnswers({ 204: Type.Null({ description: 'Removed.' }) }, ...WRITE_PROBLEMS) },
  )
  app.delete('/consumers/:name', remove, async (request, reply) => {
    await consumers.delete(consumerName(request))
    return reply.code(204).send()
  })

  const parked = consumerRoute('read', 'listParked', 'List parked events', 'By position, with the reason.', {
    querystring: ParkedQuery,
    response: consumerAnswers({ 200: ref(ParkedPageSchema) }, ...READ_PROBLEMS),
  })
  app.get('/consumers/:name/parked', parked, async (request, reply) => {
    const name = consumerName(request)
    const { after = 0, limit = DEFAULT_LIMIT } = request.query as Static<typeof ParkedQuery>
    const found = await consumers.listParked(name, after, limit + 1)
    const page = found.slice(0, limit)
    const link = pageLink(`/consumers/${name}/parked`, { after: page.at(-1)?.position, limit })
    const lines = page.map(({ json, ...entry }) => `${JSON.stringify(entry).slice(0, -1)},"event":${json}}`)
    return reply
      .type('application/json; charset=utf-8')
      .send(`{"parked":[${lines.join(',')}],"next":${found.length > limit ? JSON.stringify(link) : null}}`)
  })

  const replay = consumerRoute(
    'append',
    'replayParked',
    'Hand parked events out again',
    'The first `limit` that are not on their way already; claims answer them before what is new. Each stays listed until it is acknowledged, so a replay that breaks off loses nothing.',
    { body: ReplaySchema, response: consumerAnswers({ 200: ref(ReplayedSchema) }, ...WRITE_PROBLEMS) },
  )
  app.post(
    '/consumers/:name/parked/replay',
    { config: { ...replay.config, isBodyOptional: true }, schema: replay.schema },
    async (request) => {
      const { limit = DEFAULT_LIMIT } = (request.body ?? {}) as Static<typeof ReplaySchema>
      return { replaying: await consumers.replayParked(consumerName(request), limit) }
    },
  )

  for (const [verb, isPaused] of [
    ['pause', true],
    ['resume', false],
  ] as const) {
    const change = consumerRoute(
      'append',
      `${verb}Consumer`,
      isPaused ? 'Pause a consumer' : 'Resume a consumer',
      isPaused
        ? 'Nothing is handed out any more (409 `consumer_paused`); what members have can still be acknowledged. Live answers that have begun go on.'
        : 'Events are handed out again.',
      { body: NoMembersSchema, response: consumerAnswers({ 200: ref(ConsumerSchema) }, ...WRITE_PROBLEMS) },
    )
    app.post(
      `/consumers/:name/${verb}`,
      { config: { ...change.config, isBodyOptional: true }, schema: change.schema },
      async (request) => consumerBody(await consumers.setPaused(consumerName(request), isPaused)),
    )
  }

  const reset = consumerRoute(
    'append',
    'resetConsumer',
    'Move a consumer to another position',
    'It goes on after `position`, or with what comes from now on (`head`). Leases are lost; parked events after the position are taken off the list, because they come again.',
    { body: ResetSchema, response: consumerAnswers({ 200: ref(ConsumerSchema) }, 'cursor_ahead', ...WRITE_PROBLEMS) },
  )
  app.post('/consumers/:name/reset', reset, async (request) => {
    const { position } = request.body as Static<typeof ResetSchema>
    return consumerBody(await consumers.reset(consumerName(request), position))
  })
}

const consumerBody = (consumer: ConsumerStanding): Static<typeof ConsumerSchema> => ({
  name: consumer.name,
  filter: filterJson(consumer.filter),
  start: consumer.start,
  partitions: consumer.partitions,
  lease_seconds: consumer.leaseSeconds,
  max_attempts: consumer.maxAttempts,
  paused: consumer.isPaused,
  checkpoint: consumer.checkpoint,
  head: consumer.head,
  lag_events: Math.max(consumer.head - consumer.checkpoint, 0),
  lag_seconds: consumer.lagSeconds,
  in_flight: consumer.inFlight,
  parked: consumer.parked,
  replaying: consumer.replaying,
  members: consumer.members,
  created_at: consumer.createdAt,
})
