// Working through a consumer's events: one reader acknowledges a position, or several members share the work under leases.

import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Claim, ConsumerBatch, ConsumerStore, Progress } from '../db/consumers/consumer-store.ts'
import type { FeedFilter } from '../db/event-log.ts'
import { AppError, validationFailed } from '../errors.ts'
import { predicateOf } from '../follow/event-filter.ts'
import { SSE_TYPE } from '../http/live-answer.ts'
import { negotiate, varyBy } from '../http/negotiate.ts'
import { queryError } from '../http/query.ts'
import {
  consumerAnswers,
  consumerLimit,
  consumerName,
  consumerRoute,
  ref,
  WRITE_PROBLEMS,
} from './consumer-parameters.ts'
import {
  AckSchema,
  ClaimSchema,
  ConsumerPageSchema,
  LeaseSchema,
  NackSchema,
  ProgressSchema,
} from './consumer-schemas.ts'
import {
  answerLive,
  atLeastParameters,
  beginRead,
  confirmEpoch,
  epochParameters,
  followCursor,
  type LiveParts,
  stampEpoch,
  untilGone,
} from './live.ts'
import { DEFAULT_LIMIT, MAX_PAGE_BYTES } from './read-parameters.ts'

export interface ConsumerEventRoutesOptions extends LiveParts {
  consumers: ConsumerStore
  head(): Promise<number>
}

const JSON_TYPE = 'application/json; charset=utf-8'
// While members have what is to be done, whoever waits looks again this often: a lease can run out unheard.
const LOOK_AGAIN_MS = 300

const NextQuery = Type.Object({
  ...epochParameters,
  ...atLeastParameters,
  limit: consumerLimit,
  wait: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 60,
      description: 'Long poll: when there is nothing, wait up to this many seconds.',
    }),
  ),
})

/** `GET /consumers/{name}/events`, and `claim`, `ack` and `nack` beside it. */
export function consumerEventRoutes(
  app: FastifyInstance,
  { consumers, head, ...live }: ConsumerEventRoutesOptions,
): void {
  const next = consumerRoute(
    'read',
    'readConsumer',
    'Read the next events of a consumer',
    'For one reader: those after the checkpoint, as often as it is asked, until `position` is acknowledged with `POST /consumers/{name}/ack`. When nothing passes the filter the checkpoint moves by itself. With `Accept: text/event-stream` it begins at the checkpoint (or `Last-Event-ID`) and goes on with new events; acknowledge now and then.',
    {
      querystring: NextQuery,
      response: consumerAnswers(
        { 200: ref(ConsumerPageSchema) },
        'not_acceptable',
        'consumer_paused',
        'cursor_ahead',
        'epoch_changed',
        'not_yet_visible',
        ...WRITE_PROBLEMS,
      ),
    },
  )
  app.get(
    '/consumers/:name/events',
    { config: { ...next.config, streamTypes: [SSE_TYPE] }, schema: next.schema },
    async (request, reply) => {
      const name = consumerName(request)
      const { limit = DEFAULT_LIMIT, wait } = request.query as Static<typeof NextQuery>
      varyBy(reply, 'Accept')
      await beginRead(request, reply, live)
      if (negotiate(request.headers.accept, ['application/json', SSE_TYPE]) === SSE_TYPE)
        return follow(request, reply, name)
      const batch = await nextEvents(
        reply,
        name,
        (wait ?? 0) * 1000,
        () => consumers.readNext(name, limit, MAX_PAGE_BYTES),
        () => false,
      )
      confirmEpoch(request, live.epoch)
      return reply.type(JSON_TYPE).send(pageJson(batch))
    },
  )

  const follow = async (request: FastifyRequest, reply: FastifyReply, name: string): Promise<FastifyReply> => {
    for (const parameter of Object.keys(request.query as object)) {
      if (parameter in epochParameters || parameter in atLeastParameters) continue
      throw queryError(parameter, 'not_followed', 'has no meaning for what goes on.')
    }
    const { filter, checkpoint, isPaused } = await consumers.read(name)
    if (isPaused) throw new AppError('consumer_paused', `The consumer ${name} is paused.`)
    const after = await followCursor(request, checkpoint, head, 'position')
    confirmEpoch(request, live.epoch)
    return answerLive(reply, SSE_TYPE, { kind: 'feed', after, filter }, live)
  }

  const claim = consumerRoute(
    'read',
    'claimEvents',
    'Claim events for a member',
    'For several members that share the work. Answers events by position under a lease; streams are spread over partitions, and while a member has events of a partition nobody else gets any, so each stream stays in order. What is not acknowledged within `lease_seconds` goes to others. A member has one lease at a time: claiming again gives the earlier one back. An event that was handed out twice without success is handed out alone from then on, and parked after `max_attempts`. Parked events hold nothing up: later events of their stream go on.',
    {
      body: ClaimSchema,
      response: consumerAnswers(
        { 200: ref(LeaseSchema) },
        'consumer_paused',
        'cursor_ahead',
        'epoch_changed',
        ...WRITE_PROBLEMS,
      ),
    },
  )
  app.post('/consumers/:name/claim', claim, async (request, reply) => {
    const name = consumerName(request)
    const { member, limit = DEFAULT_LIMIT, wait = 0 } = request.body as Static<typeof ClaimSchema>
    await stampEpoch(request, reply, live)
    const claimed = await nextEvents(
      reply,
      name,
      wait * 1000,
      () => consumers.claim(name, { member, limit, maxBytes: MAX_PAGE_BYTES }),
      ({ mayHaveMore }) => mayHaveMore,
    )
    return reply.type(JSON_TYPE).send(leaseJson(claimed))
  })

  /** Reads until there is something, or the time is over; also looks again when something came free. */
  const nextEvents = async <Page extends { filter: FeedFilter; events: unknown[] }>(
    reply: FastifyReply,
    name: string,
    waitMs: number,
    look: () => Promise<Page>,
    mayHaveMore: (page: Page) => boolean,
  ): Promise<Page> => {
    const first = await look()
    if (first.events.length > 0 || waitMs === 0) return first
    const deadlineAt = performance.now() + waitMs
    const passes = predicateOf(first.filter)
    return untilGone(reply, live, async (signal) => {
      for (let page = first; ; ) {
        const leftMs = deadlineAt - performance.now()
        if (page.events.length > 0 || leftMs <= 0 || signal.aborted) return page
        const released = new AbortController()
        const stop = consumers.onReleased(name, () => released.abort())
        try {
          const waitFor = Math.min(leftMs, mayHaveMore(page) ? LOOK_AGAIN_MS : leftMs)
          const either = AbortSignal.any([signal, released.signal])
          page = await live.hub.waitForEvents(look, ({ events }) => events.length > 0, passes, waitFor, either)
        } finally {
          stop()
        }
      }
    })
  }

  const ack = consumerRoute(
    'read',
    'acknowledge',
    'Acknowledge events',
    'With `token`: those of the lease up to `position`, or all of it; what is left begins another lease time, so this also renews. Without: everything up to `position`, which is refused while members have leases. The checkpoint never goes back, and never beyond the head.',
    {
      body: AckSchema,
      response: consumerAnswers(
        { 200: ref(ProgressSchema) },
        'lease_lost',
        'consumer_claimed',
        'cursor_ahead',
        ...WRITE_PROBLEMS,
      ),
    },
  )
  app.post('/consumers/:name/ack', ack, async (request) => {
    const { token, position } = request.body as Static<typeof AckSchema>
    const name = consumerName(request)
    if (token !== undefined) return progressBody(await consumers.finish(name, token, position))
    if (position === undefined) throw validationFailed([{ pointer: '', rule: 'token_or_position' }])
    return progressBody(await consumers.acknowledge(name, position))
  })

  const nack = consumerRoute(
    'read',
    'giveBack',
    'Say that an event failed',
    '`retry`: the lease ends and everything that is left of it comes back; acknowledge first what is done. The event at `position` is handed out again after `delay_seconds`, and its partition waits for it; those after it count as not tried. After `max_attempts` it is parked instead. `park`: the event is set aside, the rest stays with the member. Without `position` all events of the lease have failed.',
    { body: NackSchema, response: consumerAnswers({ 200: ref(ProgressSchema) }, 'lease_lost', ...WRITE_PROBLEMS) },
  )
  app.post('/consumers/:name/nack', nack, async (request) => {
    const { delay_seconds: delaySeconds, ...rest } = request.body as Static<typeof NackSchema>
    if (rest.reason !== undefined && !isStorable(rest.reason)) {
      throw validationFailed([{ pointer: '/reason', rule: 'no_nul_or_lone_surrogate' }])
    }
    const nacked = await consumers.nack(consumerName(request), {
      ...rest,
      ...(delaySeconds !== undefined && { delaySeconds }),
    })
    return progressBody(nacked)
  })
}

/** Text that PostgreSQL can keep as it is. */
const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

const progressBody = ({
  checkpoint,
  acknowledged,
  inFlight,
  leaseUntil,
  parked,
}: Progress): Static<typeof ProgressSchema> => ({
  checkpoint,
  acknowledged,
  in_flight: inFlight,
  lease_until: leaseUntil,
  parked,
})

const linesOf = (events: { json: string }[]): string => `[${events.map(({ json }) => json).join(',')}]`

const pageJson = ({ checkpoint, events, position, head }: ConsumerBatch): string =>
  `{"checkpoint":${checkpoint},"events":${linesOf(events)},"position":${position},"head":${head}}`

const leaseJson = ({ token, leaseUntil, events, attempts, checkpoint, head }: Claim): string =>
  `{"token":${JSON.stringify(token)},"lease_until":${JSON.stringify(leaseUntil)},"events":${linesOf(events)},` +
  `"attempts":${JSON.stringify(attempts)},"checkpoint":${checkpoint},"head":${head}}`
