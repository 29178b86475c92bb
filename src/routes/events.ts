// The feed of all events, and single events.

import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { isEventId } from '../contract/event-id.ts'
import { eventArray, hasEvents } from '../contract/event-page.ts'
import { readTime } from '../contract/time-text.ts'
import type { EventLog, FeedFilter, FeedQuery, PageText, Separator } from '../db/event-log.ts'
import { AppError, validationFailed } from '../errors.ts'
import { predicateOf } from '../follow/event-filter.ts'
import { type LinePage, NDJSON_TYPE, sendLines } from '../http/ndjson.ts'
import { varyBy } from '../http/negotiate.ts'
import { PREFIX_PARAMETERS, queryError } from '../http/query.ts'
import { EventSchema, FeedPageSchema } from './event-schemas.ts'
import {
  answerLive,
  atLeastParameters,
  awaitPosition,
  beginRead,
  confirmEpoch,
  epochParameters,
  followCursor,
  followParameters,
  formOf,
  isLive,
  type LiveParts,
  type LiveRead,
  refuseAhead,
  sameEpoch,
  stampEpoch,
  untilGone,
} from './live.ts'
import {
  DEFAULT_LIMIT,
  directionParameter,
  LINE_PAGE_BYTES,
  LINE_PAGE_EVENTS,
  limitParameter,
  MAX_PAGE_BYTES,
  numberParameter,
  pageLink,
  READ_PROBLEMS,
  typeParameter,
} from './read-parameters.ts'
import { problems } from './schemas.ts'

export interface EventRoutesOptions extends LiveParts {
  log: EventLog
}

const METADATA_PREFIX = 'metadata.'

const FeedReadQuery = Type.Object(
  {
    after: numberParameter('Forwards: events after this position.'),
    before: numberParameter('Backwards: events before this position; from the head when absent.'),
    limit: limitParameter,
    direction: directionParameter,
    type: typeParameter,
    stream_prefix: Type.Optional(
      Type.String({ maxLength: 255, description: 'Only streams whose id starts with this.' }),
    ),
    since: Type.Optional(Type.String({ format: 'date-time', description: 'RFC 3339; inclusive, on `created_at`.' })),
    until: Type.Optional(Type.String({ format: 'date-time', description: 'RFC 3339; exclusive, on `created_at`.' })),
    ...followParameters,
    ...epochParameters,
    ...atLeastParameters,
  },
  {
    [PREFIX_PARAMETERS]: {
      [METADATA_PREFIX]: Type.String({
        description:
          '`metadata.<key>=<text>`: only events whose metadata has this text under the key; repeatable by key.',
      }),
    },
  },
)

interface FeedRead extends LiveRead {
  after?: number
  before?: number
  type?: string[]
  stream_prefix?: string
  since?: string
  until?: string
}

/** `GET /events` and `GET /events/{event_id}`. */
export function eventRoutes(app: FastifyInstance, { log, ...live }: EventRoutesOptions): void {
  app.get(
    '/events',
    {
      config: { scope: 'read', streamTypes: ['application/x-ndjson', 'text/event-stream'] },
      schema: {
        operationId: 'readFeed',
        tags: ['read'],
        summary: 'Read the feed of all events',
        description:
          'In the order of commit. Filters combine with AND, several `type` with OR. `next` can be polled: keep it, and nothing is missed or comes twice. With `Accept: text/event-stream` it goes on with new events (resume by `Last-Event-ID`), as lines with `follow=true`.',
        querystring: FeedReadQuery,
        response: {
          200: Type.Ref(FeedPageSchema.$id as string),
          ...problems('not_acceptable', 'cursor_ahead', 'epoch_changed', 'not_yet_visible', ...READ_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const read = request.query as FeedRead
      varyBy(reply, 'Accept')
      const form = formOf(request, read)
      const query = feedQuery(read, form === NDJSON_TYPE)
      await awaitPosition(request, reply, live)
      await stampEpoch(request, reply, live)
      if (isLive(form, read)) {
        const after = await followCursor(request, query.after ?? 0, () => log.head(), 'position')
        confirmEpoch(request, live.epoch)
        return answerLive(reply, form, { kind: 'feed', after, filter: filterOf(query) }, live)
      }
      if (form === NDJSON_TYPE) {
        const isSame = sameEpoch(live.epoch)
        const page = await readPage(query, '\n')
        confirmEpoch(request, live.epoch)
        return sendLines(reply, feedLines({ log, isSame }, query, page, read.limit))
      }
      const page = read.wait === undefined ? await readPage(query, ',') : await longPoll(reply, read.wait, query)
      confirmEpoch(request, live.epoch)
      return sendPage(reply, read, query, page)
    },
  )

  const readPage = async (query: FeedQuery, separator: Separator): Promise<PageText> =>
    reached(query, await log.readFeedText(query, separator))

  const longPoll = (reply: FastifyReply, seconds: number, query: FeedQuery): Promise<PageText> =>
    untilGone(reply, live, (signal) =>
      live.hub.waitForEvents(() => readPage(query, ','), hasEvents, predicateOf(query), seconds * 1000, signal),
    )

  app.get(
    '/events/:event_id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getEvent',
        tags: ['read'],
        summary: 'Read one event by its id',
        params: Type.Object({ event_id: Type.String({ format: 'uuid' }) }),
        querystring: Type.Object({ ...epochParameters, ...atLeastParameters }),
        response: {
          200: Type.Ref(EventSchema.$id as string),
          ...problems('event_not_found', 'epoch_changed', 'not_yet_visible', ...READ_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const eventId = (request.params as { event_id: string }).event_id
      if (!isEventId(eventId)) throw validationFailed([{ pointer: 'path/event_id', rule: 'lower_case_uuid' }])
      await beginRead(request, reply, live)
      const event = await log.readEvent(eventId)
      confirmEpoch(request, live.epoch)
      if (event === null) throw new AppError('event_not_found', 'No event has this id.')
      return reply.type('application/json; charset=utf-8').send(event)
    },
  )
}

function filterOf({ types, streamPrefix, since, until, metadata }: FeedQuery): FeedFilter {
  return {
    ...(types && { types }),
    ...(streamPrefix !== undefined && { streamPrefix }),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(metadata && { metadata }),
  }
}

function feedQuery(read: FeedRead, isLines: boolean): FeedQuery {
  const { direction = 'forward' } = read
  if (direction === 'backward' && read.after !== undefined) {
    throw queryError('after', 'only_forward', 'goes with direction=forward; backwards the page starts at `before`.')
  }
  if (direction === 'forward' && read.before !== undefined) {
    throw queryError('before', 'only_backward', 'goes with direction=backward; forwards the page starts at `after`.')
  }
  const metadata = metadataOf(read)
  return {
    direction,
    limit: read.limit ?? (isLines ? LINE_PAGE_EVENTS : DEFAULT_LIMIT),
    maxBytes: isLines ? LINE_PAGE_BYTES : MAX_PAGE_BYTES,
    mayBeShort: isLines,
    ...(direction === 'forward' ? { after: read.after ?? 0 } : {}),
    ...(read.before === undefined ? {} : { before: read.before }),
    ...(read.type === undefined ? {} : { types: read.type }),
    ...(read.stream_prefix === undefined ? {} : { streamPrefix: read.stream_prefix }),
    ...(read.since === undefined ? {} : { since: timeOf('since', read.since) }),
    ...(read.until === undefined ? {} : { until: timeOf('until', read.until) }),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
  }
}

function metadataOf(read: FeedRead): Record<string, string> {
  return Object.fromEntries(
    Object.entries(read)
      .filter(([name]) => name.startsWith(METADATA_PREFIX))
      .map(([name, value]) => [name.slice(METADATA_PREFIX.length), value as string]),
  )
}

function timeOf(name: string, text: string): string {
  const time = readTime(text)
  if (time === undefined) throw queryError(name, 'rfc_3339', 'must be a time such as 2026-01-31T12:00:00Z.')
  return time
}

/** @throws AppError `cursor_ahead` */
function reached<Page extends { head: number }>({ after = 0 }: FeedQuery, page: Page): Page {
  refuseAhead(after, page.head, 'position')
  return page
}

/** Where the next page starts; null backwards at the end. Forwards a page that is not full has seen all up to the head. */
function nextCursor(query: FeedQuery, page: PageText): number | null {
  const { last } = page
  if (query.direction === 'backward') return page.isFull && last !== undefined && last > 1 ? last : null
  return page.isFull && last !== undefined ? last : Math.max(page.head, query.after ?? 0)
}

function sendPage(reply: FastifyReply, read: FeedRead, query: FeedQuery, page: PageText): FastifyReply {
  const cursor = nextCursor(query, page)
  const {
    after: _after,
    before: _before,
    direction,
    at_least: _position,
    at_least_wait: _seconds,
    follow: _follow,
    ...kept
  } = read
  const next =
    cursor === null
      ? null
      : pageLink(
          '/events',
          direction !== 'backward' ? { after: cursor, ...kept } : { direction, before: cursor, ...kept },
        )
  if (next !== null) reply.header('link', `<${next}>; rel="next"`)
  return reply
    .type('application/json; charset=utf-8')
    .send(eventArray('{"events":[', page, `],"head":${page.head},"next":${JSON.stringify(next)}}`))
}

// Up to the head that the first page saw, so that the answer ends while others append.
function feedLines(
  source: { log: EventLog; isSame: () => void },
  query: FeedQuery,
  page: PageText,
  limit: number | undefined,
): LinePage {
  const left = limit === undefined ? undefined : limit - page.count
  const upTo = query.upTo ?? page.head
  const isForward = query.direction === 'forward'
  const { last } = page
  const isLast = !page.isFull || last === undefined || left === 0 || (isForward ? last >= upTo : last === 1)
  return {
    json: page.json,
    next: isLast
      ? null
      : async () => {
          const bound = isForward ? { after: last } : { before: last }
          const nextQuery = { ...query, ...bound, upTo, limit: Math.min(left ?? LINE_PAGE_EVENTS, LINE_PAGE_EVENTS) }
          const next = await source.log.readFeedText(nextQuery, '\n')
          source.isSame()
          return feedLines(source, nextQuery, next, left)
        },
  }
}
