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
    /** Stores events in one stream, all or none. A retry repeats the same ids, so nothing is stored twice. */
    append: (streamId: string, events: readonly NewEvent[], options?: AppendOptions) =>
      append(http, streamId, events, options),
    /** Stores events in several streams, under conditions on these and others. */
    appendToStreams: appendToStreams(http),

    readStream: (streamId: string, options?: ReadStreamOptions) => readStream(http, streamId, options),
    readFeed: (options?: ReadFeedOptions) => readFeed(http, options),
    readEvent: (eventId: string, options?: VisibilityOptions) => readEvent(http, eventId, options),
    streamInfo: (streamId: string, options?: VisibilityOptions) => streamInfo(http, streamId, options),
    listStreams: (options?: ListStreamsOptions) => listStreams(http, options),
    /** Last position of the store. */
    head: (options?: CallOptions) => head(http, options),

    /** Events as they are stored, for ever: each once, in order, across lost connections. */
    follow: (options?: FollowOptions) => follow(http, options),

    saveSnapshot: (streamId: string, snapshot: NewSnapshot, options?: CallOptions) =>
      saveSnapshot(http, streamId, snapshot, options),
    readSnapshot: (streamId: string, options?: CallOptions) => readSnapshot(http, streamId, options),
    deleteSnapshot: (streamId: string, options?: CallOptions) => deleteSnapshot(http, streamId, options),
    /** The snapshot of a stream and the events after it. */
    readState: (streamId: string, options?: CallOptions) => readState(http, streamId, options),

    /** Makes a consumer, or changes it. */
    saveConsumer: (name: string, consumer: NewConsumer, options?: CallOptions) =>
      saveConsumer(http, name, consumer, options),
    consumerInfo: (name: string, options?: CallOptions) => consumerInfo(http, name, options),
    /** Handles the events of a consumer until `signal` ends it: each at least once, those of a stream in order. */
    consume: (name: string, handler: EventHandler, options?: ConsumeOptions) => consume(http, name, handler, options),
  }
}
