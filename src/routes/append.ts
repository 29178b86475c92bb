// Appends to one stream and to several.

import { type TObject, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { appendedJson, failure, multiVersionConflict, versionConflict } from '../contract/append-answers.ts'
import { readAppendBody, readMultiAppendBody } from '../contract/append-body.ts'
import type { AppendLimits } from '../contract/event-body.ts'
import { expectedVersionByHeader } from '../contract/preconditions.ts'
import { Report } from '../contract/report.ts'
import { checkStreamId } from '../contract/stream-id.ts'
import type { AppendOutcome, EventLog, ExpectedVersion, FailedCondition, StreamAppend } from '../db/event-log.ts'
import { type AppError, toProblem, validationFailed } from '../errors.ts'
import {
  AppendedSchema,
  AppendResultsSchema,
  AppendSchema,
  MultiAppendedSchema,
  MultiAppendSchema,
  StreamParams,
} from './event-schemas.ts'
import { problems } from './schemas.ts'

export interface AppendRoutesOptions {
  log: EventLog
  limits: AppendLimits
}

const MAX_RESYNC_EVENTS = 100
const MAX_RESYNC_BYTES = 16 * 1024 * 1024
const JSON_TYPE = 'application/json; charset=utf-8'

const APPEND_PROBLEMS = [
  'malformed_request',
  'validation_failed',
  'stream_id_invalid',
  'version_conflict',
  'payload_too_large',
  'unsupported_media_type',
  'unstorable_value',
  'event_id_reused',
  'overloaded',
  'pool_exhausted',
  'busy',
  'timeout',
  'database_unavailable',
  'database_read_only',
  'database_full',
  'database_misconfigured',
  'commit_outcome_unknown',
] as const

const AppendQuery: TObject = Type.Object({
  resync: Type.Optional(
    Type.Boolean({
      description:
        "On a conflict, also answer with the events after the caller's version: the first 100, or as many of them as 16 MiB hold.",
    }),
  ),
})

/** `POST /streams/{stream_id}/events` and `POST /events`. */
export function appendRoutes(app: FastifyInstance, { log, limits }: AppendRoutesOptions): void {
  app.post(
    '/streams/:stream_id/events',
    {
      config: { scope: 'append', checksBody: true, takesConditions: true },
      schema: {
        operationId: 'appendToStream',
        tags: ['append'],
        summary: 'Append events to one stream',
        description:
          'The batch is stored whole or not at all. The expected version may also come as `If-Match: "4"`, `If-Match: *` or `If-None-Match: *`; a conflict is then 412. Sent again with the same ids and content, it answers as the first time.',
        params: StreamParams,
        querystring: AppendQuery,
        body: Type.Ref(AppendSchema.$id as string),
        response: { 201: Type.Ref(AppendedSchema.$id as string), ...problems(...APPEND_PROBLEMS) },
      },
    },
    async (request, reply) => {
      const streamId = checkStreamId((request.params as { stream_id: string }).stream_id)
      const byHeader = expectedVersionByHeader(request.headers)
      const body = readAppendBody(request.body, limits)
      if (byHeader !== undefined && body.expectedVersion !== undefined && byHeader !== body.expectedVersion) {
        throw validationFailed([{ pointer: '/expected_version', rule: 'contradicts_header' }])
      }
      const expectedVersion = byHeader ?? body.expectedVersion ?? 'any'
      const append = { streamId, expectedVersion, events: body.events }
      const [outcome] = (await log.append([{ appends: [append], checks: [] }])) as [AppendOutcome]
      if (outcome.kind === 'appended') return sendAppended(reply, outcome)
      if (outcome.kind !== 'conflict') throw failure(outcome)
      const { resync } = request.query as { resync?: boolean }
      const failed = outcome.failed[0] as FailedCondition
      const events = resync === true ? await resyncEvents(log, failed) : undefined
      throw versionConflict(failed, byHeader === undefined ? 'body' : 'header', events)
    },
  )

  app.post(
    '/events',
    {
      config: { scope: 'append', checksBody: true },
      schema: {
        operationId: 'appendToStreams',
        tags: ['append'],
        summary: 'Append events to several streams',
        description:
          'Atomic: all appends and checks hold, or nothing is stored and `failed` names every condition that did not. With `"atomic": false` each append answers for itself in `results`.',
        body: Type.Ref(MultiAppendSchema.$id as string),
        response: {
          200: { ...Type.Ref(AppendResultsSchema.$id as string), description: 'With `"atomic": false`.' },
          201: Type.Ref(MultiAppendedSchema.$id as string),
          ...problems(...APPEND_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const body = readMultiAppendBody(request.body, limits)
      if (!body.isAtomic) return sendResults(request, reply, log, body.appends)
      const appends = body.appends as StreamAppend[]
      const [outcome] = (await log.append([{ appends, checks: body.checks }])) as [AppendOutcome]
      if (outcome.kind === 'conflict') throw multiVersionConflict(outcome.failed)
      if (outcome.kind !== 'appended') throw failure(outcome)
      const isReplay = outcome.appends.every(({ replayed }) => replayed)
      const position = Math.max(...outcome.appends.map((appended) => appended.position))
      if (isReplay) reply.header('idempotent-replayed', 'true')
      return reply
        .code(201)
        .type(JSON_TYPE)
        .send(
          `{"position":${position},"replayed":${isReplay},"results":[${outcome.appends.map(appendedJson).join(',')}]}`,
        )
    },
  )
}

function sendAppended(reply: FastifyReply, outcome: AppendOutcome & { kind: 'appended' }): FastifyReply {
  const [appended] = outcome.appends
  if (appended === undefined) throw new Error('an append to one stream has one answer')
  if (appended.replayed) reply.header('idempotent-replayed', 'true')
  return reply
    .code(201)
    .headers({
      'content-type': JSON_TYPE,
      etag: `"${appended.version}"`,
      location: `/streams/${encodeURIComponent(appended.stream_id)}/events?from_version=${appended.first_version}`,
    })
    .send(appendedJson(appended))
}

async function sendResults(
  request: FastifyRequest,
  reply: FastifyReply,
  log: EventLog,
  items: (StreamAppend | Report)[],
): Promise<FastifyReply> {
  const appends = items.filter((item): item is StreamAppend => !(item instanceof Report))
  const outcomes = await log.append(appends.map((append) => ({ appends: [append], checks: [] })))
  let next = 0
  const results = items.map((item) => {
    const result =
      item instanceof Report ? (item.error() as AppError) : outcomeResult(outcomes[next++] as AppendOutcome)
    return typeof result === 'string'
      ? `{"status":201,"body":${result}}`
      : `{"status":${result.status},"body":${JSON.stringify(toProblem(result, request.id))}}`
  })
  return reply.type(JSON_TYPE).send(`{"results":[${results.join(',')}]}`)
}

function outcomeResult(outcome: AppendOutcome): string | AppError {
  if (outcome.kind === 'appended') return appendedJson(outcome.appends[0] as (typeof outcome.appends)[0])
  if (outcome.kind === 'conflict') return versionConflict(outcome.failed[0] as FailedCondition, 'body')
  return failure(outcome)
}

// Bounded by the version that was seen, so the events are those of the conflict's own snapshot: nothing changes below.
async function resyncEvents(log: EventLog, failed: FailedCondition): Promise<string[]> {
  const { events } = await log.readStream({
    streamId: failed.stream_id,
    fromVersion: callerVersion(failed.expected_version) + 1,
    toVersion: failed.current_version,
    direction: 'forward',
    limit: MAX_RESYNC_EVENTS,
    maxBytes: MAX_RESYNC_BYTES,
  })
  return events.map(({ json }) => json)
}

const callerVersion = (expected: ExpectedVersion): number => (typeof expected === 'number' ? expected : 0)
