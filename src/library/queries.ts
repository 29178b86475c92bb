// What can be asked of the library: pages of a stream or of the feed, and following them.

import { checkStreamId } from '../contract/stream-id.ts'
import { readTime } from '../contract/time-text.ts'
import type { Direction } from '../db/event-log.ts'
import { validationFailed } from '../errors.ts'
import type { FollowQuery } from '../follow/follower.ts'

export interface ReadStreamOptions {
  from_version?: number
  direction?: Direction
  limit?: number
  types?: string[]
}

/** All conditions have to hold, of `types` one. */
export interface FeedConditions {
  types?: string[]
  stream_prefix?: string
  /** RFC 3339, inclusive. */
  since?: string
  /** RFC 3339, exclusive. */
  until?: string
  /** Top-level members that are this text. */
  metadata?: Record<string, string>
}

export interface ReadFeedOptions extends FeedConditions {
  after?: number
  before?: number
  direction?: Direction
  limit?: number
}

/** The feed, or with `stream_id` one stream. */
export type FollowOptions = {
  /** Begin after this position (of a stream: version). From the beginning when absent; `head`: only what is new. */
  after?: number | 'head'
  /** Ends the iteration, without an error. */
  signal?: AbortSignal
  /** With conditions: told now and then that nothing up to here is left. Following again `after` this misses nothing. */
  onCheckpoint?: (cursor: number) => void | Promise<void>
} & (({ stream_id?: undefined } & FeedConditions) | { stream_id: string; types?: string[] })

/** @throws AppError `validation_failed` */
export function followQuery(options: FollowOptions): FollowQuery {
  const { after = 0, types } = options
  if (after !== 'head' && !(Number.isSafeInteger(after) && after >= 0)) {
    throw validationFailed([{ pointer: '/after', rule: 'integer_from_0' }])
  }
  const common = { after: after === 'head' ? 0 : after }
  if (options.stream_id !== undefined) {
    return { kind: 'stream', streamId: checkStreamId(options.stream_id), ...common, ...(types && { types }) }
  }
  const { stream_prefix: streamPrefix, since, until, metadata } = options
  for (const [name, time] of Object.entries({ since, until })) {
    if (time !== undefined && readTime(time) === undefined) {
      throw validationFailed([{ pointer: `/${name}`, rule: 'rfc_3339' }])
    }
  }
  const filter = {
    ...(types && { types }),
    ...(streamPrefix !== undefined && { streamPrefix }),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(metadata && { metadata }),
  }
  return { kind: 'feed', filter, ...common }
}
