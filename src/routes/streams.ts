// Reads of one stream, and the list of streams.

import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { eventArray, hasEvents } from '../contract/event-page.ts'
import { isNotModified } from '../contract/preconditions.ts'
import { checkStreamId, streamNotFound } from '../contract/stream-id.ts'
import { nextVersion, previousPage } from '../contract/stream-page.ts'
import type { EventLog, PageText, StreamQuery } from '../db/event-log.ts'
import type { SnapshotStore } from '../db/snapshots/snapshot-store.ts'
import { type LinePage, NDJSON_TYPE, sendLines } from '../http/ndjson.ts'
import { varyBy } from '../http/negotiate.ts'
import { sendNoBody } from '../http/no-body.ts'
import { StreamListSchema, StreamPageSchema, StreamParams, StreamStandingSchema } from './event-schemas.ts'
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

export interface StreamRoutesOptions extends LiveParts {
  log: EventLog
  snapshots: SnapshotStore
}

const StreamReadQuery = Type.Object({
  from_version: numberParameter('First version of the page; inclusive in both directions.', 1),
  limit: limitParameter,
  direction: directionParameter,
  type: typeParameter,
  ...followParameters,
  ...epochParameters,
  ...atLeastParameters,
})

const StreamListQuery = Type.Object({
  prefix: Type.Optional(Type.String({ maxLength: 255, description: 'Only streams whose id starts with this.' })),
  after: Type.Optional(Type.String({ maxLength: 255, description: 'Stream id; exclusive.' })),
  limit: limitParameter,
  ...epochParameters,
  ...atLeastParameters,
})

interface StreamRead extends LiveRead {
  from_version?: number
  type?: string[]
}

/** `GET /streams/{stream_id}/events`, `GET /streams/{stream_id}`, `GET /streams`. */
export function streamRoutes(app: FastifyInstance, { log, snapshots, ...live }: StreamRoutesOptions): void {
  app.get(
    '/streams/:stream_id/events',
    {
      config: { scope: 'read', streamTypes: ['application/x-ndjson', 'text/event-stream'] },
      schema: {
        operationId: 'readStream',
        tags: ['read'],
        summary: 'Read the events of one stream',
        params: StreamParams,
        querystring: StreamReadQuery,
        response: {
          200: Type.Ref(StreamPageSchema.$id as string),
          304: Type.Null({ description: 'The stream is still at the version of If-None-Match.' }),
          ...problems(
            'stream_id_invalid',
            'stream_not_found',
            'not_acceptable',
            'cursor_ahead',
            'epoch_changed',
            'not_yet_visible',
            ...READ_PROBLEMS,
          ),
        },
      },
    },
    async (request, reply) => {
      const streamId = checkStreamId((request.params as { stream_id: string }).stream_id)
      const read = request.query as StreamRead
      varyBy(reply, 'Accept')
      const form = formOf(request, read)
      const query = streamQuery(streamId, read, form === NDJSON_TYPE)
      await awaitPosition(request, reply, live)
      await stampEpoch(request, reply, live)
      if (isLive(form, read)) {
        const from = (read.from_version ?? 1) - 1
        const after = await followCursor(request, from, () => versionOf(log, streamId), 'version')
        confirmEpoch(request, live.epoch)
        return answerLive(
          reply,
          form,
          { kind: 'stream', streamId, after, ...(read.type && { types: read.type }) },
          live,
        )
      }
      const isSame = sameEpoch(live.epoch)
      const separator = form === NDJSON_TYPE ? '\n' : ','
      const page =
        read.wait === undefined ? await log.readStreamText(query, separator) : await longPoll(reply, read.wait, query)
      confirmEpoch(request, live.epoch)
      if (page.head === 0) throw streamNotFound()
      reply.header('etag', `"${page.head}"`)
      if (isNotModified(request.headers['if-none-match'], page.head)) return sendNoBody(reply.code(304))
      if (form === NDJSON_TYPE) return sendLines(reply, streamLines({ log, isSame }, query, page, read.limit))
      return sendPage(reply, query, page)
    },
  )

  const longPoll = (reply: FastifyReply, seconds: number, query: StreamQuery): Promise<PageText> =>
    untilGone(reply, live, (signal) =>
      live.hub.waitForEvents(
        () => log.readStreamText(query, ','),
        hasEvents,
        ({ fields }) => fields.stream_id === query.streamId,
        seconds * 1000,
        signal,
      ),
    )

  app.get(
    '/streams/:stream_id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getStream',
        tags: ['read'],
        summary: 'Where a stream stands',
        params: StreamParams,
        querystring: Type.Object({ ...epochParameters, ...atLeastParameters }),
        response: {
          200: Type.Ref(StreamStandingSchema.$id as string),
          ...problems('stream_id_invalid', 'stream_not_found', 'epoch_changed', 'not_yet_visible', ...READ_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const streamId = checkStreamId((request.params as { stream_id: string }).stream_id)
      await beginRead(request, reply, live)
      // The snapshot first: whatever is appended in between, it is not ahead of the stream.
      const snapshot = await snapshots.readSummary(streamId)
      const info = await log.readStreamInfo(streamId)
      confirmEpoch(request, live.epoch)
      if (info === null) throw streamNotFound()
      return reply
        .header('etag', `"${info.version}"`)
        .send({ ...info, snapshot, events_since_snapshot: info.version - (snapshot?.version ?? 0) })
    },
  )

  app.get(
    '/streams',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listStreams',
        tags: ['read'],
        summary: 'List the streams in byte order of their ids',
        querystring: StreamListQuery,
        response: {
          200: Type.Ref(StreamListSchema.$id as string),
          ...problems('epoch_changed', 'not_yet_visible', ...READ_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      await beginRead(request, reply, live)
      const {
        prefix,
        after,
        limit = DEFAULT_LIMIT,
      } = request.query as {
        prefix?: string
        after?: string
        limit?: number
      }
      // One more than asked for tells whether there is a next page.
      const found = await log.listStreams({
        ...(prefix === undefined ? {} : { prefix }),
        ...(after === undefined ? {} : { after }),
        limit: limit + 1,
      })
      confirmEpoch(request, live.epoch)
      const streams = found.slice(0, limit)
      const next =
        found.length > limit ? pageLink('/streams', { prefix, after: streams.at(-1)?.stream_id, limit }) : null
      return { streams, next }
    },
  )
}

const versionOf = async (log: EventLog, streamId: string): Promise<number> =>
  (await log.readStreamInfo(streamId))?.version ?? 0

function streamQuery(streamId: string, read: StreamRead, isLines: boolean): StreamQuery {
  return {
    streamId,
    direction: read.direction ?? 'forward',
    limit: read.limit ?? (isLines ? LINE_PAGE_EVENTS : DEFAULT_LIMIT),
    maxBytes: isLines ? LINE_PAGE_BYTES : MAX_PAGE_BYTES,
    mayBeShort: isLines,
    ...(read.from_version === undefined ? {} : { fromVersion: read.from_version }),
    ...(read.type === undefined ? {} : { types: read.type }),
  }
}

function sendPage(reply: FastifyReply, query: StreamQuery, page: PageText): FastifyReply {
  const path = `/streams/${encodeURIComponent(query.streamId)}/events`
  const link = ({ fromVersion, limit, direction, types }: StreamQuery) =>
    pageLink(path, {
      from_version: fromVersion,
      limit,
      direction: direction === 'forward' ? undefined : direction,
      type: types,
    })
  const nextFrom = nextVersion(query, page)
  const next = nextFrom === null ? null : link({ ...query, fromVersion: nextFrom })
  const links = next === null ? [] : [`<${next}>; rel="next"`]
  const previous = previousPage(query, page.head)
  if (previous !== null) links.push(`<${link(previous)}>; rel="prev"`)
  if (links.length > 0) reply.header('link', links.join(', '))
  return reply
    .type('application/json; charset=utf-8')
    .send(
      eventArray(
        `{"stream_id":${JSON.stringify(query.streamId)},"version":${page.head},"events":[`,
        page,
        `],"next":${JSON.stringify(next)}}`,
      ),
    )
}

// Up to the version that the first page saw, so that a busy stream comes to an end.
function streamLines(
  source: { log: EventLog; isSame: () => void },
  query: StreamQuery,
  page: PageText,
  limit: number | undefined,
): LinePage {
  const left = limit === undefined ? Number.POSITIVE_INFINITY : limit - page.count
  const nextFrom = nextVersion(query, page)
  const toVersion = query.toVersion ?? page.head
  return {
    json: page.json,
    next:
      nextFrom === null || left <= 0 || (query.direction === 'forward' && nextFrom > toVersion)
        ? null
        : async () => {
            const nextQuery = { ...query, fromVersion: nextFrom, toVersion, limit: Math.min(left, LINE_PAGE_EVENTS) }
            const nextPage = await source.log.readStreamText(nextQuery, '\n')
            source.isSame()
            return streamLines(source, nextQuery, nextPage, limit === undefined ? undefined : left)
          },
  }
}
