// The filter of a consumer in its two forms: as the service works with it, and as it is sent and stored.

import type { FeedFilter } from '../db/event-log.ts'

/** Members as in the HTTP contract. */
export interface FilterJson {
  types?: string[]
  stream_prefix?: string
  since?: string
  until?: string
  metadata?: Record<string, string>
}

/** As it is sent and stored; absent members stay absent. */
export const filterJson = ({ streamPrefix, ...rest }: FeedFilter): FilterJson => ({
  ...rest,
  ...(streamPrefix !== undefined && { stream_prefix: streamPrefix }),
})

/** As the service works with it. It is taken as it is: what comes from outside is checked by `contract/consumer-body.ts`. */
export const filterOf = ({ stream_prefix: streamPrefix, ...rest }: FilterJson): FeedFilter => ({
  ...rest,
  ...(streamPrefix !== undefined && { streamPrefix }),
})
