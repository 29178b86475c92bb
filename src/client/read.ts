// Reading what is stored: pages one after another, as one iteration that knows where it is.

import type { QueryOf, StoredEvent, StreamInfo } from './contract.ts'
import type { CallOptions, EpochMemory, Transport } from './transport.ts'

type FeedQuery = QueryOf<'/events', 'get'>

/** Which events of the feed; all conditions have to hold, of `types` one. */
export interface FeedFilter {
  types?: FeedQuery['type'] | undefined
  streamPrefix?: FeedQuery['stream_prefix']
  /** RFC 3339, inclusive. */
  since?: FeedQuery['since']
  /** RFC 3339, exclusive. */
  until?: FeedQuery['until']
  /** Top-level members of the metadata that are this text. */
  metadata?: Record<string, string> | undefined
}

export interface VisibilityOptions extends CallOptions {
  /** Wait until this position is visible, so that you read what you have written. */
  atLeast?: FeedQuery['at_least']
}

interface PageOptions extends VisibilityOptions {
  /** That of the store when the start was kept; without, the pages have to be of the epoch of the first. */
  epoch?: string | undefined
  direction?: FeedQuery['direction']
  /** Events fetched at once, 1 to 1,000 (when absent). */
  pageSize?: FeedQuery['limit']
}

export interface ReadFeedOptions extends PageOptions, FeedFilter {
  /** Forwards: events after this position. */
  after?: FeedQuery['after']
  /** Backwards: events before this position. */
  before?: FeedQuery['before']
}

export interface ReadStreamOptions extends PageOptions {
  /** First version, inclusive in both directions. */
  fromVersion?: number | undefined
  types?: FeedQuery['type'] | undefined
}

export interface ListStreamsOptions extends CallOptions {
  prefix?: string | undefined
  /** Stream id; exclusive. */
  after?: string | undefined
}

/** The filter as the feed's query wants it. */
export function filterQuery({ types, streamPrefix, since, until, metadata = {} }: FeedFilter) {
  const members = Object.entries(metadata).map(([key, text]) => [`metadata.${key}`, text])
  return { type: types, stream_prefix: streamPrefix, since, until, ...Object.fromEntries(members) }
}

interface Page {
  events: StoredEvent[]
  /** Everything up to here is done with when the page is. */
  seenUpTo: number
  isLast: boolean
}

/**
 * Events of the feed or of a stream, up to what is stored when the last page is read. Iterating again goes on where
 * the last iteration stopped.
 */
export class EventReader implements AsyncIterable<StoredEvent> {
  readonly #read: (cursor: number | undefined) => Promise<Page>
  readonly #numberOf: (event: StoredEvent) => number
  #cursor: number | undefined

  constructor(
    cursor: number | undefined,
    numberOf: (event: StoredEvent) => number,
    read: (cursor: number | undefined) => Promise<Page>,
  ) {
    this.#cursor = cursor
    this.#numberOf = numberOf
    this.#read = read
  }

  /** Position (of the feed) or version (of a stream) that is done with; undefined before the first backwards. */
  get cursor(): number | undefined {
    return this.#cursor
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StoredEvent, void, undefined> {
    for (;;) {
      const { events, seenUpTo, isLast } = await this.#read(this.#cursor)
      for (const event of events) {
        this.#cursor = this.#numberOf(event)
        yield event
      }
      this.#cursor = seenUpTo
      if (isLast) return
    }
  }

  /** All of them at once: for what is known to be short. */
  async all(): Promise<StoredEvent[]> {
    const events: StoredEvent[] = []
    for await (const event of this) events.push(event)
    return events
  }
}

const PAGE_SIZE = 1_000
const parameterOf = (link: string, name: string) => Number(new URL(link, 'http://annals').searchParams.get(name))

/** The feed, from oldest to newest unless `direction` says otherwise. */
export function readFeed(http: Transport, options: ReadFeedOptions = {}): EventReader {
  const { direction = 'forward', pageSize = PAGE_SIZE, signal } = options
  const isForward = direction === 'forward'
  const filter = filterQuery(options)
  const start = isForward ? (options.after ?? 0) : options.before
  const position = (event: StoredEvent) => event.position
  const epoch: EpochMemory = { current: options.epoch }
  return new EventReader(start, position, async (cursor) => {
    const page = await http.call('get', '/events', {
      query: {
        ...filter,
        ...(isForward ? { after: cursor } : { direction, before: cursor }),
        limit: pageSize,
        at_least: cursor === start ? options.atLeast : undefined,
      },
      signal,
      epoch,
    })
    const seenUpTo =
      page.next === null ? (page.events.at(-1)?.position ?? 0) : parameterOf(page.next, isForward ? 'after' : 'before')
    return { events: page.events, seenUpTo, isLast: page.next === null || (isForward && seenUpTo >= page.head) }
  })
}

/** One stream, from its first version unless told otherwise. @throws AnnalsError `stream_not_found` */
export function readStream(http: Transport, streamId: string, options: ReadStreamOptions = {}): EventReader {
  const { direction = 'forward', pageSize = PAGE_SIZE, fromVersion, types, signal } = options
  const step = direction === 'forward' ? 1 : -1
  // The cursor is the version before the first one, so that the next page always begins one further on.
  const start = fromVersion === undefined ? (step === 1 ? 0 : undefined) : fromVersion - step
  const version = (event: StoredEvent) => event.version
  const epoch: EpochMemory = { current: options.epoch }
  return new EventReader(start, version, async (cursor) => {
    if (step === -1 && cursor === 1) return { events: [], seenUpTo: 1, isLast: true }
    const page = await http.call('get', '/streams/{stream_id}/events', {
      path: { stream_id: streamId },
      query: {
        from_version: cursor === undefined ? undefined : cursor + step,
        direction,
        limit: pageSize,
        type: types,
        at_least: cursor === start ? options.atLeast : undefined,
      },
      signal,
      epoch,
    })
    const { events, next } = page
    const end = step === 1 ? Math.max(page.version, cursor ?? 0) : 1
    const seenUpTo = next === null ? end : parameterOf(next, 'from_version') - step
    return { events, seenUpTo, isLast: next === null }
  })
}

/** @throws AnnalsError `event_not_found` */
export const readEvent = (http: Transport, eventId: string, { atLeast, signal }: VisibilityOptions = {}) =>
  http.call('get', '/events/{event_id}', { path: { event_id: eventId }, query: { at_least: atLeast }, signal })

/** Version, times and snapshot of a stream. @throws AnnalsError `stream_not_found` */
export const streamInfo = (http: Transport, streamId: string, { atLeast, signal }: VisibilityOptions = {}) =>
  http.call('get', '/streams/{stream_id}', { path: { stream_id: streamId }, query: { at_least: atLeast }, signal })

/** Last position of the store; 0 when it is empty. */
export async function head(http: Transport, { signal }: CallOptions = {}): Promise<number> {
  return (await http.call('get', '/events', { query: { direction: 'backward', limit: 1 }, signal })).head
}

/** All streams in byte order of their ids. */
export async function* listStreams(
  http: Transport,
  { prefix, after, signal }: ListStreamsOptions = {},
): AsyncGenerator<StreamInfo, void, undefined> {
  let cursor = after
  for (;;) {
    const { streams, next } = await http.call('get', '/streams', {
      query: { prefix, after: cursor, limit: PAGE_SIZE },
      signal,
    })
    yield* streams
    if (next === null) return
    cursor = streams.at(-1)?.stream_id
  }
}
