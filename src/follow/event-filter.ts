// The filters of the feed, for events that are already here. In the same words as the statement of src/db/read/feed-filter.ts.

import type { FeedFilter } from '../db/event-log.ts'
import type { TailEvent } from './tail-event.ts'

/** Whether an event passes; undefined when every event does. */
export type EventPredicate = ((event: TailEvent) => boolean) | undefined

/** The filter as a predicate. */
export function predicateOf(filter: FeedFilter): EventPredicate {
  const checks: ((event: TailEvent) => boolean)[] = []
  const { types, streamPrefix, since, until, metadata } = filter
  if (types !== undefined) checks.push(({ fields }) => types.includes(fields.type))
  if (streamPrefix !== undefined && streamPrefix !== '') {
    checks.push(({ fields }) => fields.stream_id.startsWith(streamPrefix))
  }
  if (since !== undefined) {
    const from = microseconds(since)
    checks.push(({ fields }) => microseconds(fields.created_at) >= from)
  }
  if (until !== undefined) {
    const to = microseconds(until)
    checks.push(({ fields }) => microseconds(fields.created_at) < to)
  }
  for (const [key, value] of Object.entries(metadata ?? {})) {
    checks.push(
      ({ fields }) => fields.metadata !== null && Object.hasOwn(fields.metadata, key) && fields.metadata[key] === value,
    )
  }
  return checks.length === 0 ? undefined : (event) => checks.every((check) => check(event))
}

/** A time of RFC 3339 in microseconds since 1970. */
function microseconds(time: string): number {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? ''
  const seconds = Date.parse(time.replace(/\.\d+/, '').replace(/:60(?=[Zz+-])/, ':59'))
  const leap = /:60(\.\d+)?[Zz+-]/.test(time) ? 1_000 : 0
  return (seconds + leap) * 1000 + Math.round(Number(`0.${fraction || '0'}`) * 1e6)
}
