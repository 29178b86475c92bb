// The store as a library: the HTTP contract without HTTP. Values take the same way in and out, through the same checks.

import { failure, multiVersionConflict, versionConflict } from './contract/append-answers.ts'
import { readAppendBody, readMultiAppendBody } from './contract/append-body.ts'
import type { AppendLimits } from './contract/event-body.ts'
import { type SnapshotInfo, snapshotInfo, snapshotRefused } from './contract/snapshot-answers.ts'
import { readSnapshotBody } from './contract/snapshot-body.ts'
import { checkStreamId, streamNotFound } from './contract/stream-id.ts'
import type {
  Appended,
  AppendOutcome,
  EventLog,
  ExpectedVersion,
  FailedCondition,
  StreamAppend,
  StreamInfo,
} from './db/event-log.ts'
import { InMemoryEventLog } from './db/in-memory/in-memory-event-log.ts'
import { InMemorySnapshots } from './db/in-memory/in-memory-snapshots.ts'
import type { SnapshotStore } from './db/snapshots/snapshot-store.ts'
import { AppError } from './errors.ts'
import { FeedTail } from './follow/feed-tail.ts'
import { FollowHub } from './follow/follow-hub.ts'
import { followedEvents } from './follow/followed-events.ts'
import { type FollowOptions, followQuery, type ReadFeedOptions, type ReadStreamOptions } from './library/queries.ts'
import {
  type NewEvent,
  type NewSnapshot,
  type Snapshot,
  type StoredEvent,
  toBody,
  toEvent,
  toSnapshot,
} from './library/values.ts'

const DEFAULT_LIMITS: AppendLimits = { maxEvents: 1_000, maxEventBytes: 1024 * 1024, maxMetadataBytes: 64 * 1024 }
const PAGE_EVENTS = 100
const STATE_PAGE_EVENTS = 1_000
const PAGE_BYTES = 16 * 1024 * 1024
const FOLLOW = { heartbeatMs: 15_000, limits: { maxPendingBytes: 2 * 1024 * 1024 } }

export interface EventStoreOptions {
  snapshots: SnapshotStore
  tail: FeedTail
  limits?: AppendLimits
  onClose?: () => Promise<void>
}

/** Appends and reads events, and keeps snapshots. Every method rejects with an AppError that has a `code` of the catalogue. */
export class EventStore {
  readonly #log: EventLog
  readonly #snapshots: SnapshotStore
  readonly #limits: AppendLimits
  readonly #tail: FeedTail
  readonly #hub: FollowHub
  readonly #closing = new AbortController()
  readonly #onClose: () => Promise<void>

  constructor(log: EventLog, options: EventStoreOptions) {
    this.#log = log
    this.#tail = options.tail
    this.#hub = new FollowHub({ log, tail: options.tail, ...FOLLOW })
    this.#snapshots = options.snapshots
    this.#limits = options.limits ?? DEFAULT_LIMITS
    this.#onClose = options.onClose ?? (() => Promise.resolve())
  }

  /**
   * Appends to one stream, all or nothing.
   * @throws AppError `version_conflict`, `event_id_reused`, `validation_failed`, …
   */
  async append(streamId: string, events: NewEvent[], expectedVersion: ExpectedVersion = 'any'): Promise<Appended> {
    const body = readAppendBody(toBody({ expected_version: expectedVersion, events }), this.#limits)
    const append = { streamId: checkStreamId(streamId), expectedVersion, events: body.events }
    const [outcome] = (await this.#log.append([{ appends: [append], checks: [] }])) as [AppendOutcome]
    if (outcome.kind === 'appended') return outcome.appends[0] as Appended
    if (outcome.kind === 'conflict') throw versionConflict(outcome.failed[0] as FailedCondition, 'body')
    throw failure(outcome)
  }

  /**
   * Appends to several streams, all or nothing, if all checks hold too.
   * @throws AppError `version_conflict` with `members.failed`, `event_id_reused`, `validation_failed`, …
   */
  async appendToStreams(
    appends: { stream_id: string; expected_version?: ExpectedVersion; events: NewEvent[] }[],
    checks: { stream_id: string; expected_version: ExpectedVersion }[] = [],
  ): Promise<Appended[]> {
    const body = readMultiAppendBody(toBody({ appends, checks }), this.#limits)
    const request = { appends: body.appends as StreamAppend[], checks: body.checks }
    const [outcome] = (await this.#log.append([request])) as [AppendOutcome]
    if (outcome.kind === 'appended') return outcome.appends
    if (outcome.kind === 'conflict') throw multiVersionConflict(outcome.failed)
    throw failure(outcome)
  }

  /** A page of one stream; `version` is 0 when the stream does not exist. */
  async readStream(
    streamId: string,
    options: ReadStreamOptions = {},
  ): Promise<{ version: number; events: StoredEvent[] }> {
    const { version, events } = await this.#log.readStream({
      streamId: checkStreamId(streamId),
      direction: options.direction ?? 'forward',
      limit: options.limit ?? PAGE_EVENTS,
      maxBytes: PAGE_BYTES,
      ...(options.from_version === undefined ? {} : { fromVersion: options.from_version }),
      ...(options.types === undefined ? {} : { types: options.types }),
    })
    return { version, events: events.map(({ json }) => toEvent(json)) }
  }

  /** A page of the feed of all events; `head` is the last position of the store. */
  async readFeed(options: ReadFeedOptions = {}): Promise<{ head: number; events: StoredEvent[] }> {
    const { stream_prefix: streamPrefix, direction = 'forward', limit = PAGE_EVENTS, ...filters } = options
    const { head, events } = await this.#log.readFeed({
      ...filters,
      ...(streamPrefix === undefined ? {} : { streamPrefix }),
      direction,
      limit,
      maxBytes: PAGE_BYTES,
    })
    return { head, events: events.map(({ json }) => toEvent(json)) }
  }

  /**
   * Events as they are stored: each once, in order, from `after` on and then for ever, across lost connections to the
   * database. However slowly they are taken, memory stays bounded. Ends without an error by `signal` or `close()`.
   * @throws AppError `cursor_ahead` when the store has not got to `after`, or went back; `validation_failed`, …
   */
  async *follow(options: FollowOptions = {}): AsyncGenerator<StoredEvent, void, undefined> {
    const { signal, onCheckpoint } = options
    const ended = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal])
    if (ended.aborted) return
    const query = followQuery(options)
    const head = query.kind === 'feed' ? await this.head() : ((await this.readStreamInfo(query.streamId))?.version ?? 0)
    if (options.after === 'head') query.after = head
    if (query.after > head) {
      throw new AppError('cursor_ahead', `The cursor is ${query.after}, and the last one here is ${head}.`, {
        members: { cursor: query.after, head },
      })
    }
    for await (const { at, event } of followedEvents(this.#hub, query, ended)) {
      if (event === undefined) await onCheckpoint?.(at)
      else yield toEvent(event.json)
    }
  }

  /** The event with this id, or null. */
  async readEvent(eventId: string): Promise<StoredEvent | null> {
    const json = await this.#log.readEvent(eventId)
    return json === null ? null : toEvent(json)
  }

  /** Streams in byte order of their ids, `after` exclusive. */
  listStreams(options: { prefix?: string; after?: string; limit?: number } = {}): Promise<StreamInfo[]> {
    return this.#log.listStreams({ ...options, limit: options.limit ?? PAGE_EVENTS })
  }

  /** Where a stream stands, or null. */
  readStreamInfo(streamId: string): Promise<StreamInfo | null> {
    return this.#log.readStreamInfo(checkStreamId(streamId))
  }

  /**
   * Stores the snapshot of a stream, or replaces one of the same or an older version.
   * @throws AppError `stream_not_found`, `snapshot_older`, `snapshot_ahead`, `validation_failed`, …
   */
  async saveSnapshot(streamId: string, snapshot: NewSnapshot): Promise<SnapshotInfo> {
    const prepared = readSnapshotBody(toBody(snapshot), checkStreamId(streamId), this.#limits.maxEventBytes)
    const outcome = await this.#snapshots.save(prepared)
    if (outcome.kind !== 'saved') throw snapshotRefused(outcome, prepared)
    return snapshotInfo(outcome.snapshot)
  }

  /** The snapshot of a stream, or null. */
  async readSnapshot(streamId: string): Promise<Snapshot | null> {
    return toSnapshot((await this.#snapshots.read(checkStreamId(streamId))).snapshot)
  }

  /**
   * Deletes the snapshot of a stream, if there is one.
   * @throws AppError `stream_not_found`
   */
  async deleteSnapshot(streamId: string): Promise<void> {
    if (!(await this.#snapshots.delete(checkStreamId(streamId)))) throw streamNotFound()
  }

  /**
   * The snapshot of a stream and the first page of events after it, of one moment; `readStream` has the rest.
   * `version` is 0 when the stream does not exist.
   */
  async readState(
    streamId: string,
    options: { limit?: number } = {},
  ): Promise<{ version: number; snapshot: Snapshot | null; events: StoredEvent[] }> {
    const { version, snapshot, events } = await this.#snapshots.readState({
      streamId: checkStreamId(streamId),
      limit: options.limit ?? STATE_PAGE_EVENTS,
      maxBytes: PAGE_BYTES,
    })
    return { version, snapshot: toSnapshot(snapshot), events: events.map(({ json }) => toEvent(json)) }
  }

  /** Last position; 0 when the store is empty. */
  head(): Promise<number> {
    return this.#log.head()
  }

  /** Ends who follows, waits for what is under way, and lets go of the database. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#tail.close()
    await this.#log.close()
    await this.#onClose()
  }
}

/** The same store in memory, for unit tests: nothing is kept when the process ends. */
export class InMemoryEventStore extends EventStore {
  constructor() {
    const log = new InMemoryEventLog()
    super(log, { snapshots: new InMemorySnapshots(log), tail: new FeedTail({ log, isWokenByOthers: () => true }) })
  }
}
