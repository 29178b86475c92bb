// Snapshots: the state of a stream at one of its versions, so that it need not be rebuilt from the first event.

import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { snapshotInfo, snapshotJson, snapshotNotFound, snapshotRefused } from '../contract/snapshot-answers.ts'
import { readSnapshotBody } from '../contract/snapshot-body.ts'
import { checkStreamId, streamNotFound } from '../contract/stream-id.ts'
import type { SnapshotStore, StatePage } from '../db/snapshots/snapshot-store.ts'
import { StreamParams } from './event-schemas.ts'
import { atLeastParameters, beginRead, confirmEpoch, epochParameters, type LiveParts } from './live.ts'
import { DEFAULT_LIMIT, MAX_PAGE_BYTES, MAX_PAGE_EVENTS, pageLink, READ_PROBLEMS } from './read-parameters.ts'
import { problems } from './schemas.ts'
import {
  NewSnapshotSchema,
  SnapshotCoverageSchema,
  SnapshotInfoSchema,
  SnapshotSchema,
  StreamStateSchema,
} from './snapshot-schemas.ts'

export interface SnapshotRoutesOptions extends LiveParts {
  snapshots: SnapshotStore
  /** A stream with more events than this since its snapshot is listed as behind. */
  snapshotEvery: number
  maxStateBytes: number
}

const JSON_TYPE = 'application/json; charset=utf-8'
// Streams that one page of the coverage looks at: about 0.1 s of database time.
const MAX_CHECKED = 10_000

const SNAPSHOT_READ_PROBLEMS = ['epoch_changed', 'not_yet_visible', ...READ_PROBLEMS] as const

const WRITE_PROBLEMS = [
  'stream_id_invalid',
  'stream_not_found',
  'pool_exhausted',
  'busy',
  'timeout',
  'database_unavailable',
  'database_read_only',
  'database_misconfigured',
  'commit_outcome_unknown',
] as const

const limitOf = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE_EVENTS, description }))

const SnapshotQuery = Type.Object({ ...epochParameters, ...atLeastParameters })

const StateQuery = Type.Object({
  limit: limitOf('Most events of the page; 1,000 when absent.'),
  ...epochParameters,
  ...atLeastParameters,
})

const CoverageQuery = Type.Object({
  limit: limitOf('Most streams of the page; 100 when absent.'),
  after: Type.Optional(Type.String({ maxLength: 255, description: 'Stream id; exclusive.' })),
  ...epochParameters,
  ...atLeastParameters,
})

/** `PUT`, `GET` and `DELETE /streams/{stream_id}/snapshot`, `GET /streams/{stream_id}/state`, `GET /snapshots/coverage`. */
export function snapshotRoutes(app: FastifyInstance, options: SnapshotRoutesOptions): void {
  const { snapshots, snapshotEvery, maxStateBytes, ...live } = options

  app.put(
    '/streams/:stream_id/snapshot',
    {
      config: { scope: 'append', checksBody: true },
      schema: {
        operationId: 'saveSnapshot',
        tags: ['snapshots'],
        summary: 'Store the snapshot of a stream',
        description:
          'Replaces a snapshot of the same or an older version; a newer one is never replaced. A retry is always safe.',
        params: StreamParams,
        body: Type.Ref(NewSnapshotSchema.$id as string),
        response: {
          200: { ...Type.Ref(SnapshotInfoSchema.$id as string), description: 'Replaced.' },
          201: { ...Type.Ref(SnapshotInfoSchema.$id as string), description: 'New.' },
          ...problems(
            'malformed_request',
            'validation_failed',
            'snapshot_older',
            'snapshot_ahead',
            'payload_too_large',
            'unsupported_media_type',
            'unstorable_value',
            'database_full',
            ...WRITE_PROBLEMS,
          ),
        },
      },
    },
    async (request, reply) => {
      const prepared = readSnapshotBody(request.body, streamIdOf(request), maxStateBytes)
      const outcome = await snapshots.save(prepared)
      if (outcome.kind !== 'saved') throw snapshotRefused(outcome, prepared)
      return reply.code(outcome.isNew ? 201 : 200).send(snapshotInfo(outcome.snapshot))
    },
  )

  app.get(
    '/streams/:stream_id/snapshot',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getSnapshot',
        tags: ['snapshots'],
        summary: 'Read the snapshot of a stream',
        params: StreamParams,
        querystring: SnapshotQuery,
        response: {
          200: Type.Ref(SnapshotSchema.$id as string),
          ...problems('stream_id_invalid', 'stream_not_found', 'snapshot_not_found', ...SNAPSHOT_READ_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const streamId = streamIdOf(request)
      await beginRead(request, reply, live)
      const { version, snapshot } = await snapshots.read(streamId)
      confirmEpoch(request, live.epoch)
      if (version === 0) throw streamNotFound()
      if (snapshot === null) throw snapshotNotFound()
      return reply.type(JSON_TYPE).send(snapshotJson(snapshot))
    },
  )

  app.delete(
    '/streams/:stream_id/snapshot',
    {
      config: { scope: 'append' },
      schema: {
        operationId: 'deleteSnapshot',
        tags: ['snapshots'],
        summary: 'Delete the snapshot of a stream',
        description: 'The events stay. The answer is the same when there was no snapshot.',
        params: StreamParams,
        response: {
          204: Type.Null({ description: 'The stream has no snapshot now.' }),
          ...problems(...WRITE_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      if (!(await snapshots.delete(streamIdOf(request)))) throw streamNotFound()
      return reply.code(204).send()
    },
  )

  app.get(
    '/streams/:stream_id/state',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'readState',
        tags: ['snapshots'],
        summary: 'Read the snapshot of a stream and the events after it',
        description: 'All of one moment: what the state of the stream is rebuilt from.',
        params: StreamParams,
        querystring: StateQuery,
        response: {
          200: Type.Ref(StreamStateSchema.$id as string),
          ...problems('stream_id_invalid', 'stream_not_found', ...SNAPSHOT_READ_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const streamId = streamIdOf(request)
      await beginRead(request, reply, live)
      const { limit = MAX_PAGE_EVENTS } = request.query as { limit?: number }
      const page = await snapshots.readState({ streamId, limit, maxBytes: MAX_PAGE_BYTES })
      confirmEpoch(request, live.epoch)
      if (page.version === 0) throw streamNotFound()
      return reply.type(JSON_TYPE).send(stateJson(streamId, page, limit))
    },
  )

  app.get(
    '/snapshots/coverage',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listSnapshotCoverage',
        tags: ['snapshots'],
        summary: 'List the streams that are far ahead of their snapshot',
        description:
          'Those with more than `SNAPSHOT_EVERY` events since their snapshot, or since their beginning, in byte order of their ids.',
        querystring: CoverageQuery,
        response: { 200: Type.Ref(SnapshotCoverageSchema.$id as string), ...problems(...SNAPSHOT_READ_PROBLEMS) },
      },
    },
    async (request, reply) => {
      await beginRead(request, reply, live)
      const { limit = DEFAULT_LIMIT, after } = request.query as { limit?: number; after?: string }
      const { next, ...page } = await snapshots.listBehind({
        moreThan: snapshotEvery,
        limit,
        maxChecked: MAX_CHECKED,
        ...(after === undefined ? {} : { after }),
      })
      confirmEpoch(request, live.epoch)
      const link = next === null ? null : pageLink('/snapshots/coverage', { after: next, limit })
      return { snapshot_every: snapshotEvery, ...page, next: link }
    },
  )
}

const streamIdOf = (request: FastifyRequest): string =>
  checkStreamId((request.params as { stream_id: string }).stream_id)

function stateJson(streamId: string, page: StatePage, limit: number): string {
  const last = page.events.at(-1)?.at
  const hasMore = page.isFull && last !== undefined && last < page.version
  const path = `/streams/${encodeURIComponent(streamId)}/events`
  const next = hasMore ? pageLink(path, { from_version: last + 1, limit }) : null
  return (
    `{"stream_id":${JSON.stringify(streamId)},"version":${page.version},` +
    `"snapshot":${page.snapshot === null ? 'null' : snapshotJson(page.snapshot)},` +
    `"events":[${page.events.map(({ json }) => json).join(',')}],"next":${JSON.stringify(next)}}`
  )
}
