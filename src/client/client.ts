// annals/client: speaks to a running service from Node.js and from browsers. Needs fetch and nothing else.

import { type AppendOptions, append, appendToStreams } from './append.ts'
import { type ConsumeOptions, consume, consumerInfo, type EventHandler, saveConsumer } from './consume.ts'
import type { NewConsumer, NewEvent, NewSnapshot } from './contract.ts'
import { type FollowOptions, follow } from './follow.ts'
import {
  head,
  type ListStreamsOptions,
  listStreams,
  type ReadFeedOptions,
  type ReadStreamOptions,
  readEvent,
  readFeed,
  readStream,
  streamInfo,
  type VisibilityOptions,
} from './read.ts'
import { deleteSnapshot, readSnapshot, readState, saveSnapshot } from './snapshots.ts'
import { type CallOptions, Transport, type TransportOptions } from './transport.ts'

export type { AppendOptions } from './append.ts'
export type { ConsumeOptions, EventHandler, HandlerContext } from './consume.ts'
export type {
  Appended,
  AppendResults,
  Consumer,
  ExpectedVersion,
  MultiAppend,
  MultiAppended,
  NewConsumer,
  NewEvent,
  NewSnapshot,
  Problem,
  Snapshot,
  SnapshotInfo,
  StoredEvent,
  StreamInfo,
  StreamStanding,
} from './contract.ts'
export { AnnalsError, type ErrorCode } from './errors.ts'
export type { FollowOptions } from './follow.ts'
export type { EventReader, FeedFilter, ListStreamsOptions, ReadFeedOptions, ReadStreamOptions } from './read.ts'
export type { StateToFold } from './snapshots.ts'
export type { CallOptions, TransportOptions as ClientOptions } from './transport.ts'

export type AnnalsClient = ReturnType<typeof createClient>

/**
 * A client of one service. It keeps no connection of its own and needs no closing. Calls are retried until they are
 * answered, at most `retry.attempts` times; what fails is an {@link AnnalsError}.
 * @throws TypeError when `url` is not one
 */
export function createClient(options: TransportOptions) {
  const http = new Transport(options)
  return {
    /**
     * Stores events in one stream, all or none; a retry repeats the same ids, so nothing is stored twice.
     * @throws AnnalsError `version_conflict`, `event_id_reused`
     */
    append: (streamId: string, events: readonly NewEvent[], options?: AppendOptions) =>
      append(http, streamId, events, options),
    /** Stores events in several streams, under conditions on these and others. @throws AnnalsError `version_conflict` */
    appendToStreams: appendToStreams(http),

    /**
     * The events of one stream by version, fetched in pages as they are iterated.
     * @throws AnnalsError `stream_not_found`, `epoch_changed` when the store went back between two pages
     */
    readStream: (streamId: string, options?: ReadStreamOptions) => readStream(http, streamId, options),
    /** The events of all streams by position, in pages as well. @throws AnnalsError `epoch_changed`, `cursor_ahead` */
    readFeed: (options?: ReadFeedOptions) => readFeed(http, options),
    /** One event by its id, a UUID in lower case. @throws AnnalsError `event_not_found` */
    readEvent: (eventId: string, options?: VisibilityOptions) => readEvent(http, eventId, options),
    /** Version, times (RFC 3339) and snapshot of a stream. @throws AnnalsError `stream_not_found` */
    streamInfo: (streamId: string, options?: VisibilityOptions) => streamInfo(http, streamId, options),
    /** All streams in byte order of their ids, fetched in pages as they are iterated. */
    listStreams: (options?: ListStreamsOptions) => listStreams(http, options),
    /** Last position of the store; 0 while it is empty. */
    head: (options?: CallOptions) => head(http, options),

    /**
     * Events as they are stored, until `signal` ends it: each once, in order, across lost connections.
     * @throws AnnalsError what connecting again can't mend: `epoch_changed`, `cursor_ahead`, …
     */
    follow: (options?: FollowOptions) => follow(http, options),

    /** Keeps the state of a stream at a version, in place of an older one. @throws AnnalsError `snapshot_older`, `snapshot_ahead` */
    saveSnapshot: (streamId: string, snapshot: NewSnapshot, options?: CallOptions) =>
      saveSnapshot(http, streamId, snapshot, options),
    /** The state that was kept last. @throws AnnalsError `snapshot_not_found`, `stream_not_found` */
    readSnapshot: (streamId: string, options?: CallOptions) => readSnapshot(http, streamId, options),
    /** Drops the state that is kept, if there is one; the events stay. @throws AnnalsError `stream_not_found` */
    deleteSnapshot: (streamId: string, options?: CallOptions) => deleteSnapshot(http, streamId, options),
    /** The snapshot of a stream (null without one) and the events after it. @throws AnnalsError `stream_not_found` */
    readState: (streamId: string, options?: CallOptions) => readState(http, streamId, options),

    /**
     * Makes a consumer, or changes all but its start and its partitions.
     * @throws AnnalsError `consumer_differs`, `too_many_consumers`
     */
    saveConsumer: (name: string, consumer: NewConsumer, options?: CallOptions) =>
      saveConsumer(http, name, consumer, options),
    /** Where a consumer stands, in positions of the feed. @throws AnnalsError `consumer_not_found` */
    consumerInfo: (name: string, options?: CallOptions) => consumerInfo(http, name, options),
    /**
     * Handles the events of a consumer until `signal` ends it: each at least once, those of a stream in order.
     * @throws AnnalsError what trying again can't mend: `consumer_not_found`, `epoch_changed`, …
     */
    consume: (name: string, handler: EventHandler, options?: ConsumeOptions) => consume(http, name, handler, options),
  }
}
