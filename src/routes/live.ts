// What the event routes share for following: parameters, cursors, long polls, and answers that go on.

import { type TSchema, Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { epochChanged } from '../contract/epoch.ts'
import type { StoreEpoch } from '../db/store-epoch.ts'
import { AppError, validationFailed } from '../errors.ts'
import type { FollowHub } from '../follow/follow-hub.ts'
import type { FollowQuery } from '../follow/follower.ts'
import type { Lifecycle } from '../http/lifecycle.ts'
import { type Counted, EventStream, LineStream, liveHeaders, SSE_TYPE } from '../http/live-answer.ts'
import { NDJSON_TYPE } from '../http/ndjson.ts'
import { negotiate } from '../http/negotiate.ts'
import { sendNoBody } from '../http/no-body.ts'
import { queryError } from '../http/query.ts'

/** What routes need to follow. */
export interface LiveParts {
  hub: FollowHub
  lifecycle: Lifecycle
  epoch: EpochSource
}

/** What is known of the epoch of the store; asks nobody but where it says so. */
export type EpochSource = Pick<StoreEpoch, 'current' | 'isStandby' | 'confirm'>

export type Form = 'application/json' | typeof NDJSON_TYPE | typeof SSE_TYPE

/** Waits until a position is visible before a read. */
export const atLeastParameters = {
  at_least: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Wait until this position is visible here, else 503 `not_yet_visible`.' }),
  ),
  at_least_wait: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 60, description: 'Longest wait for `at_least` in seconds; 5 when absent.' }),
  ),
} satisfies Record<string, TSchema>

/** Long polls and lines that go on. */
export const followParameters = {
  wait: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 60,
      description: 'Long poll: when there is nothing, wait up to this many seconds. Forwards, as JSON.',
    }),
  ),
  follow: Type.Optional(Type.Boolean({ description: 'As lines: go on with new events for ever.' })),
} satisfies Record<string, TSchema>

/** Told with every answer of the feed. */
export const epochParameters = {
  epoch: Type.Optional(
    Type.String({
      maxLength: 100,
      description:
        'What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now.',
    }),
  ),
} satisfies Record<string, TSchema>

/** The parameters above, as they are read. */
export interface LiveRead {
  epoch?: string
  at_least?: number
  at_least_wait?: number
  wait?: number
  follow?: boolean
  limit?: number
  direction?: 'forward' | 'backward'
}

const AT_LEAST_WAIT_SECONDS = 5
const CURSOR = /^(0|[1-9]\d{0,15})$/

/** The form of the answer that the request asks for. @throws AppError `not_acceptable`, `validation_failed` */
export function formOf(request: FastifyRequest, read: LiveRead): Form {
  const { accept } = request.headers
  const form: Form =
    read.follow === true
      ? negotiate(accept, [NDJSON_TYPE, SSE_TYPE])
      : negotiate(accept, ['application/json', NDJSON_TYPE, SSE_TYPE])
  if (read.wait !== undefined) {
    if (form !== 'application/json') throw queryError('wait', 'only_json', 'goes with pages of JSON.')
    if (read.direction === 'backward') throw queryError('wait', 'only_forward', 'goes with direction=forward.')
  }
  if (form === SSE_TYPE || read.follow === true) {
    if (read.limit !== undefined) throw queryError('limit', 'not_followed', 'has no meaning for what goes on.')
    if (read.direction !== undefined) throw queryError('direction', 'not_followed', 'has no meaning for what goes on.')
  }
  return form
}

/** Whether the answer goes on until one side stops. */
export const isLive = (form: Form, read: LiveRead): boolean => form === SSE_TYPE || read.follow === true

/** `Last-Event-ID`, which wins over the cursor of the query. @throws AppError `validation_failed` */
function lastEventId(request: FastifyRequest): number | undefined {
  const header = request.headers['last-event-id']
  if (header === undefined) return undefined
  const text = String(header)
  if (CURSOR.test(text) && Number.isSafeInteger(Number(text))) return Number(text)
  throw validationFailed([{ pointer: 'header/last-event-id', rule: 'integer_from_0' }])
}

const EPOCH_HEADER = 'annals-epoch'

/**
 * Gives the answer its epoch, and refuses a request that brings another one. Costs a look at what is known; the
 * database is asked where nothing is known yet, or where a standby may have been promoted meanwhile.
 * @throws AppError `epoch_changed`
 */
export function stampEpoch(request: FastifyRequest, reply: FastifyReply, { epoch }: LiveParts): Promise<void> | void {
  const stamp = () => {
    if (epoch.current !== undefined) reply.header(EPOCH_HEADER, epoch.current)
    confirmEpoch(request, epoch)
  }
  const mustAsk = epoch.current === undefined || (epoch.isStandby && broughtEpochs(request).length > 0)
  return mustAsk ? epoch.confirm().then(stamp) : stamp()
}

/** Once more when everything was read: it may have changed in between. @throws AppError `epoch_changed` */
export function confirmEpoch(request: FastifyRequest, epoch: EpochSource): void {
  if (broughtEpochs(request).some((brought) => brought !== epoch.current)) throw epochChanged(epoch.current)
}

function broughtEpochs(request: FastifyRequest): (string | string[])[] {
  const { epoch: parameter } = request.query as LiveRead
  return [request.headers[EPOCH_HEADER], parameter].filter((brought) => brought !== undefined)
}

/** Breaks off an answer of several pages whose store is not the same any more. */
export function sameEpoch(epoch: EpochSource): () => void {
  const { current } = epoch
  return () => {
    if (epoch.current !== current) throw epochChanged(epoch.current)
  }
}

/** 409 for a cursor that the store has not reached, so that nobody goes on silently in a store that went back. */
export function refuseAhead(cursor: number, head: number, counted: Counted): void {
  if (cursor <= head) return
  throw new AppError('cursor_ahead', `The cursor is ${counted} ${cursor}, and the last one here is ${head}.`, {
    members: { cursor, head },
  })
}

/** Waits for `at_least`. @throws AppError `not_yet_visible` */
export async function awaitPosition(request: FastifyRequest, reply: FastifyReply, live: LiveParts): Promise<void> {
  const { at_least: position, at_least_wait: seconds = AT_LEAST_WAIT_SECONDS } = request.query as LiveRead
  if (position === undefined) return
  const isVisible = await untilGone(reply, live, (signal) => live.hub.waitForPosition(position, seconds * 1000, signal))
  if (!isVisible) throw new AppError('not_yet_visible', `Position ${position} has not been reached here.`)
}

/** How a read begins that gives one answer: waits for `at_least`, and compares the epoch. @throws AppError */
export async function beginRead(request: FastifyRequest, reply: FastifyReply, live: LiveParts): Promise<void> {
  await awaitPosition(request, reply, live)
  await stampEpoch(request, reply, live)
}

/** Runs a wait that ends early when the client goes away or the service drains. */
export async function untilGone<T>(
  reply: FastifyReply,
  { lifecycle }: LiveParts,
  wait: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const abort = () => controller.abort()
  const close = lifecycle.openStream(reply.raw, abort)
  reply.raw.once('close', abort)
  try {
    return await wait(controller.signal)
  } finally {
    close()
    reply.raw.off('close', abort)
  }
}

/** Answers with what goes on. The head of the answer is sent at once, so every refusal has to come before. */
export function answerLive(
  reply: FastifyReply,
  form: Form,
  query: FollowQuery,
  { hub, lifecycle }: LiveParts,
): FastifyReply {
  const counted: Counted = query.kind === 'feed' ? 'position' : 'version'
  if (reply.request.method === 'HEAD') return sendNoBody(reply.headers(liveHeaders(form)))
  const sink = form === SSE_TYPE ? new EventStream(reply, counted) : new LineStream(reply, counted)
  const follower = hub.follow(query, sink)
  const close = lifecycle.openStream(reply.raw, () => {
    follower.end('shutting_down')
    sink.hurry()
  })
  reply.raw.once('close', () => {
    close()
    follower.end('left')
  })
  return reply
}

/** The number to follow from, exclusive, checked against the store. @throws AppError `cursor_ahead`, `validation_failed` */
export async function followCursor(
  request: FastifyRequest,
  fallback: number,
  head: () => Promise<number>,
  counted: Counted,
): Promise<number> {
  const cursor = lastEventId(request) ?? fallback
  refuseAhead(cursor, await head(), counted)
  return cursor
}
