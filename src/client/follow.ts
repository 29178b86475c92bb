// The feed or a stream for ever: catches up, goes live, and connects again at the cursor whenever a connection ends.

import type { Problem, StoredEvent } from './contract.ts'
import { AnnalsError, fromProblem } from './errors.ts'
import { type FeedFilter, filterQuery, head } from './read.ts'
import { pauseMs, sleep } from './retry.ts'
import { type Frame, framesOf } from './sse.ts'
import { type EpochMemory, fillPath, reasonOf, type Target, type Transport, unreachable } from './transport.ts'

interface FollowBase {
  /** Begin after this position (of a stream: version). From the beginning when absent; `head`: only what is new. */
  after?: number | 'head' | undefined
  /** That of the store when `after` was kept, as `onConnect` told it: `epoch_changed` when it is another one now. */
  epoch?: string | undefined
  /** Ends the iteration, without an error. */
  signal?: AbortSignal | undefined
  /**
   * With a filter: told now and then how far the feed was looked at, when the last of the events before has been
   * taken. Following again `after` this number misses nothing.
   */
  onCheckpoint?: ((cursor: number) => void | Promise<void>) | undefined
  /** A connection is open. `epoch` is worth keeping with the cursor. */
  onConnect?: ((cursor: number, epoch: string | undefined) => void) | undefined
  /** A connection failed or ended; it is tried again after `delayMs`. */
  onDisconnect?: ((error: AnnalsError, delayMs: number) => void) | undefined
  /** Interval of the service's heartbeats (`HEARTBEAT_SECONDS`); 15,000 when absent. */
  heartbeatMs?: number | undefined
  /** Failures one after another before it gives up; for ever when absent. */
  attempts?: number | undefined
}

/** All events that pass the filter, or those of one stream. */
export type FollowOptions = FollowBase &
  (({ stream?: undefined } & FeedFilter) | { stream: string; types?: FeedFilter['types'] })

/** A connection that is silent for longer than this many heartbeats is dead. */
const SILENT_HEARTBEATS = 2.5

/**
 * @throws AnnalsError what can't be mended by trying again; `epoch_changed` when the store was restored or a standby took
 * over, `cursor_ahead` when it went back
 */
export async function* follow(
  http: Transport,
  options: FollowOptions = {},
): AsyncGenerator<StoredEvent, void, undefined> {
  const { after = 0, signal, onCheckpoint, onConnect, onDisconnect, attempts = Number.POSITIVE_INFINITY } = options
  const target = targetOf(options)
  const epoch: EpochMemory = { current: options.epoch }
  const counted = options.stream === undefined ? 'position' : 'version'
  let cursor: number
  try {
    cursor = after === 'head' ? await headOf(http, options) : after
  } catch (error) {
    if (signal?.aborted) return
    throw error
  }
  let failures = 0
  while (!signal?.aborted) {
    let lost: AnnalsError | undefined
    for await (const { event, id, data, error } of connect(http, target, cursor, epoch, options)) {
      if (signal?.aborted) return
      if (error === undefined && event !== 'open' && event !== 'goodbye') failures = 0
      if (event === 'event') {
        const stored = parse(target, data) as StoredEvent
        if (stored[counted] <= cursor) continue
        cursor = stored[counted]
        yield stored
        if (signal?.aborted) return
      } else if (event === 'checkpoint' && Number(id) > cursor) {
        cursor = Number(id)
        await onCheckpoint?.(cursor)
      } else if (event === 'open') {
        onConnect?.(cursor, epoch.current)
      } else if (event === 'goodbye') {
        lost = farewell(target, parse(target, data) as Goodbye)
      } else if (error !== undefined) {
        lost ??= error
      }
    }
    if (signal?.aborted) return
    lost ??= unreachable(target, 'the connection ended')
    if (!lost.retryable || ++failures >= attempts) throw lost
    const delayMs = pauseMs(failures, http.retry, lost.retryAfterMs)
    onDisconnect?.(lost, delayMs)
    await sleep(delayMs, signal).catch(() => {})
  }
}

type FollowTarget = Target & { method: string; target: string }

function targetOf(options: FollowOptions): FollowTarget {
  const { stream } = options
  const path = stream === undefined ? '/events' : fillPath('/streams/{stream_id}/events', { stream_id: stream })
  const query = stream === undefined ? filterQuery(options) : { type: options.types }
  return { path, query, method: 'GET', target: path }
}

async function headOf(http: Transport, { stream, signal }: FollowOptions): Promise<number> {
  if (stream === undefined) return head(http, { signal })
  try {
    return (await http.call('get', '/streams/{stream_id}', { path: { stream_id: stream }, signal })).version
  } catch (error) {
    if (error instanceof AnnalsError && error.code === 'stream_not_found') return 0
    throw error
  }
}

/** A frame, or at last why there are no more. */
type Received = Frame & { error?: AnnalsError }

/** The frames of one connection. Leaving the iteration closes it. */
async function* connect(
  http: Transport,
  target: FollowTarget,
  cursor: number,
  epoch: EpochMemory,
  { signal, heartbeatMs = 15_000 }: FollowOptions,
): AsyncGenerator<Received, void, undefined> {
  const controller = new AbortController()
  const onAbort = () => controller.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  const silenceMs = heartbeatMs * SILENT_HEARTBEATS
  let timer: ReturnType<typeof setTimeout> | undefined
  const waiting = (isWaiting: boolean) => {
    clearTimeout(timer)
    const die = () => controller.abort(unreachable(target, `nothing came for ${silenceMs} ms`))
    if (isWaiting) timer = setTimeout(die, silenceMs)
  }
  try {
    waiting(true)
    const headers = { accept: 'text/event-stream', 'last-event-id': String(cursor) }
    const body = await http.open(target, headers, controller.signal, epoch)
    yield { ...NO_FRAME, event: 'open' }
    yield* framesOf(body, waiting)
  } catch (thrown) {
    const error = controller.signal.aborted ? controller.signal.reason : thrown
    yield {
      ...NO_FRAME,
      error:
        error instanceof AnnalsError ? error : unreachable(target, `the connection broke (${reasonOf(error)})`, error),
    }
  } finally {
    waiting(false)
    signal?.removeEventListener('abort', onAbort)
    controller.abort()
  }
}

const NO_FRAME: Frame = { event: 'lost', id: '', data: '' }

function parse(target: FollowTarget, data: string): unknown {
  try {
    return JSON.parse(data)
  } catch (cause) {
    throw new AnnalsError('unexpected_answer', `GET ${target.path} sent an event that is not JSON; check the URL.`, {
      status: 200,
      retryable: false,
      outcome: 'not_applied',
      cause,
    })
  }
}

interface Goodbye {
  reason: string
  problem?: Problem
}

function farewell(target: FollowTarget, { reason, problem }: Goodbye): AnnalsError {
  if (problem !== undefined) return fromProblem(problem)
  if (reason !== 'went_back') return unreachable(target, `the service said goodbye (${reason})`)
  // Tried again the cursor might be there once more, on other events.
  const message = 'The store went back, as after a restore: read it anew from a position that you trust.'
  return new AnnalsError('cursor_ahead', message, { status: 409, retryable: false, outcome: 'not_applied' })
}
