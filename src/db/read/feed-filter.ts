import type { FeedFilter } from '../event-log.ts'

export type AddCondition = (condition: string, value: unknown) => void

/** The filter of the feed as conditions on a row of `events` named `e`; `?` stands for the value. */
export function addFilter({ types, streamPrefix, since, until, metadata }: FeedFilter, add: AddCondition): void {
  if (types !== undefined) add('e.event_type = ANY(?::text[])', types)
  if (streamPrefix !== undefined) add('starts_with(e.stream_id, ?)', streamPrefix)
  if (since !== undefined) add('e.created_at >= ?::timestamptz', since)
  if (until !== undefined) add('e.created_at < ?::timestamptz', until)
  if (metadata !== undefined) add('e.metadata @> ?::jsonb', JSON.stringify(metadata))
}
