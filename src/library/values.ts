// What goes into the library and what comes out of it, by the names of the HTTP contract.

import { type SnapshotInfo, snapshotJson } from '../contract/snapshot-answers.ts'
import type { StoredSnapshot } from '../db/snapshots/snapshot-store.ts'
import { parseJson } from '../json/parse.ts'

/** An event to append; members as in the HTTP contract. */
export interface NewEvent {
  /** Lower-case UUID; makes a retry safe. */
  id?: string
  type: string
  /** Any JSON value; not together with `data_base64`. */
  data?: unknown
  data_base64?: string
  content_type?: string
  metadata?: Record<string, unknown> | null
}

/** An event as it was stored. */
export interface StoredEvent {
  position: number
  stream_id: string
  version: number
  id: string
  type: string
  /** Parsed by JSON.parse, so numbers beyond a double are rounded here. */
  data?: unknown
  data_base64?: string
  content_type: string
  metadata: Record<string, unknown> | null
  created_at: string
}

/** The state of a stream at one of its versions; members as in the HTTP contract. */
export interface NewSnapshot {
  version: number
  /** Any JSON value; either this or `state_base64`. */
  state?: unknown
  state_base64?: string
  content_type?: string
}

/** A snapshot as it was stored. */
export interface Snapshot extends SnapshotInfo {
  /** Parsed by JSON.parse, so numbers beyond a double are rounded here. */
  state?: unknown
  state_base64?: string
}

/** The value as if it had come as the body of a request, so that the same checks hold. */
export const toBody = (value: unknown): unknown => parseJson(Buffer.from(JSON.stringify(value)))

/** Parses one line of JSON; numbers beyond a double are rounded. */
export const toEvent = (json: string): StoredEvent => JSON.parse(json) as StoredEvent

/** Parses a stored snapshot, its state included; null stays null. */
export const toSnapshot = (snapshot: StoredSnapshot | null): Snapshot | null =>
  snapshot === null ? null : (JSON.parse(snapshotJson(snapshot)) as Snapshot)
