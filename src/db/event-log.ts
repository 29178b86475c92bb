// What keeps events does this, wherever it keeps them. The HTTP routes and the library stand on it;
// PostgresEventLog and InMemoryEventLog are held to it by one shared contract suite.

import type { AppError } from '../errors.ts'

/** A version the stream has to be at, `any`, or `exists` (at least one event). 0 = no event yet. */
export type ExpectedVersion = number | 'any' | 'exists'

/** An event that passed every check and is ready to be stored as it is. */
export interface PreparedEvent {
  /** Lower-case canonical UUID. */
  id: string
  /** The client chose the id, so it can be a retry; an id that was made here can not. */
  hasClientId: boolean
  type: string
  /** What is stored: UTF-8 JSON text on one line when `isJson`, else any bytes. */
  data: Buffer
  isJson: boolean
  /** Null: the usual one, `application/json` for JSON, else `application/octet-stream`. */
  contentType: string | null
  /** UTF-8 text of a JSON object, or null. */
  metadata: Buffer | null
}

export interface StreamAppend {
  streamId: string
  expectedVersion: ExpectedVersion
  events: PreparedEvent[]
}

export interface StreamCheck {
  streamId: string
  expectedVersion: ExpectedVersion
}

/** Holds or fails as one; a stream at most once in `appends`. */
export interface AppendRequest {
  appends: StreamAppend[]
  checks: StreamCheck[]
}

/** What one stream's append was given. Also the body of the 201 answer. */
export interface Appended {
  stream_id: string
  first_version: number
  version: number
  first_position: number
  position: number
  event_ids: string[]
  /** RFC 3339 UTC, microseconds. */
  created_at: string
  replayed: boolean
}

/** A condition that did not hold; `index` counts within the request's appends or checks. */
export interface FailedCondition {
  index: number
  kind: 'append' | 'check'
  stream_id: string
  expected_version: ExpectedVersion
  current_version: number
}

export type AppendOutcome =
  | { kind: 'appended'; appends: Appended[] }
  | { kind: 'conflict'; failed: FailedCondition[] }
  /** Some ids are stored, but the request is not a retry of what stored them. */
  | { kind: 'ids_reused'; event_ids: string[] }
  | { kind: 'failed'; error: AppError }

export type Direction = 'forward' | 'backward'

/** One event as the line of JSON that leaves the service, and the number that orders it. */
export interface EventLine {
  /** Position in the feed, or version in a stream, whichever was read. */
  at: number
  json: string
}

export interface StreamQuery {
  streamId: string
  /** Inclusive; default the first version forwards, the head backwards. */
  fromVersion?: number
  /** Inclusive upper bound, for reading up to a version that was seen. */
  toVersion?: number
  direction: Direction
  limit: number
  /** A page ends after the event that brings it to this size. */
  maxBytes: number
  /** The page may also end before, as the reader goes on anyway. */
  mayBeShort?: boolean
  types?: string[]
}

export interface StreamPage {
  /** Version of the stream's last event, 0 when it does not exist. */
  version: number
  events: EventLine[]
  /** The limit or the size of the page ended it, so more may follow. */
  isFull: boolean
}

/** Which events of the feed: all of it has to hold, of `types` one. */
export interface FeedFilter {
  types?: string[]
  streamPrefix?: string
  /** RFC 3339; inclusive. */
  since?: string
  /** RFC 3339; exclusive. */
  until?: string
  /** Top-level metadata members that are strings, by key. */
  metadata?: Record<string, string>
}

export interface FeedQuery extends FeedFilter {
  /** Exclusive lower bound, for reading forwards. */
  after?: number
  /** Exclusive upper bound, for reading backwards. */
  before?: number
  /** Inclusive upper bound. */
  upTo?: number
  direction: Direction
  limit: number
  /** A page ends after the event that brings it to this size. */
  maxBytes: number
  /** The page may also end before, as the reader goes on anyway. */
  mayBeShort?: boolean
}

export interface FeedPage {
  /** Last position of the store, 0 when it is empty; of the same moment as the events. */
  head: number
  events: EventLine[]
  /** The limit or the size of the page ended it, so more may follow. */
  isFull: boolean
}

/** What stands after each event of a page that is sent on as it is: a comma in JSON, a line feed in lines. */
export type Separator = ',' | '\n'

/** A page for who passes the events on without looking at them. */
export interface PageText {
  /** Last position of the store, or last version of the stream; of the same moment as the events. */
  head: number
  /** Events as JSON, each with the separator after it: as text, or in UTF-8. */
  json: string | Buffer
  count: number
  /** Position or version of the last one; undefined when there is none. */
  last: number | undefined
  /** The limit or the size of the page ended it, so more may follow. */
  isFull: boolean
}

export interface StreamInfo {
  stream_id: string
  version: number
  created_at: string
  updated_at: string
}

export interface StreamListQuery {
  prefix?: string
  /** Exclusive, in byte order. */
  after?: string
  limit: number
}

export interface EventLog {
  /** Appends each request by itself, all of them in the given order with nothing of others between. */
  append(requests: AppendRequest[]): Promise<AppendOutcome[]>
  readStream(query: StreamQuery): Promise<StreamPage>
  readFeed(query: FeedQuery): Promise<FeedPage>
  readStreamText(query: StreamQuery, separator: Separator): Promise<PageText>
  readFeedText(query: FeedQuery, separator: Separator): Promise<PageText>
  /** The event as a line of JSON, or null. */
  readEvent(eventId: string): Promise<string | null>
  /** In byte order of the stream id. */
  listStreams(query: StreamListQuery): Promise<StreamInfo[]>
  readStreamInfo(streamId: string): Promise<StreamInfo | null>
  /** Last position; 0 when the store is empty. */
  head(): Promise<number>
  /** Calls back after something was stored here; returns how to stop that. */
  onAppended(listener: () => void): () => void
  close(): Promise<void>
}
