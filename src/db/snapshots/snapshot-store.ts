// What keeps snapshots does this: at most one per stream, never an older over a newer one, never ahead of the stream.
// PostgresSnapshots and InMemorySnapshots are held to it by one shared contract suite.

import type { EventLine } from '../event-log.ts'

/** A state that passed every check and is ready to be stored as it is. */
export interface PreparedSnapshot {
  streamId: string
  /** The stream's version that the state is of. */
  version: number
  /** UTF-8 JSON text on one line when `isJson`, else any bytes. */
  data: Buffer
  isJson: boolean
  /** Null: the usual one, `application/json` for JSON, else `application/octet-stream`. */
  contentType: string | null
}

export interface StoredSnapshot extends PreparedSnapshot {
  /** RFC 3339 UTC, microseconds. */
  createdAt: string
}

export interface SnapshotSummary {
  version: number
  created_at: string
}

export type SaveOutcome =
  | { kind: 'saved'; isNew: boolean; snapshot: StoredSnapshot }
  | { kind: 'stream_not_found' }
  /** A newer one is stored. */
  | { kind: 'older'; storedVersion: number }
  /** The stream has not got that far. */
  | { kind: 'ahead'; streamVersion: number }

export interface StateQuery {
  streamId: string
  limit: number
  /** The events of a page end after the one that brings them to this size; the snapshot comes on top. */
  maxBytes: number
}

/** A snapshot and the events after it, of one moment. */
export interface StatePage {
  /** Version of the stream's last event, 0 when it does not exist. */
  version: number
  snapshot: StoredSnapshot | null
  events: EventLine[]
  /** The limit or the size of the page ended it, so more may follow. */
  isFull: boolean
}

export interface CoverageQuery {
  /** Streams with more events than this since their snapshot are listed. */
  moreThan: number
  /** Stream id; exclusive, in byte order. */
  after?: string
  /** Most streams that are listed. */
  limit: number
  /** Most streams that are looked at. */
  maxChecked: number
}

export interface StreamCoverage {
  stream_id: string
  version: number
  snapshot: SnapshotSummary | null
  events_since_snapshot: number
}

export interface CoveragePage {
  /** In byte order of the stream id. */
  streams: StreamCoverage[]
  /** How many streams were looked at. */
  checked: number
  /** The last stream looked at, when one of the limits ended the page; null after the last stream. */
  next: string | null
}

/** A page of streams in figures. */
export interface CoverageSums {
  /** Streams with more events since their snapshot than was asked for. */
  behind: number
  /** The most events since a snapshot, or since the beginning. */
  largestLag: number
  checked: number
  /** As in {@link CoveragePage}. */
  next: string | null
}

/** A snapshot of a stream that went back (some of its events were restored, for instance) counts as none. */
export interface SnapshotStore {
  /** Stores a snapshot, or replaces one of the same or an older version. */
  save(snapshot: PreparedSnapshot): Promise<SaveOutcome>
  /** The stream's version (0 when it does not exist) and its snapshot. */
  read(streamId: string): Promise<{ version: number; snapshot: StoredSnapshot | null }>
  /** The snapshot without its state. */
  readSummary(streamId: string): Promise<SnapshotSummary | null>
  readState(query: StateQuery): Promise<StatePage>
  /** False when the stream does not exist; true whether there was a snapshot or not. */
  delete(streamId: string): Promise<boolean>
  listBehind(query: CoverageQuery): Promise<CoveragePage>
}
