// What clients did to a store and what the store holds afterwards: all that the proof judges. Plain values, in the
// names of the contract, so that a history can be written to a file and judged elsewhere.

import type { Appended, ExpectedVersion, StoredEvent } from '../client/client.ts'

/** An event as it was sent; `id` always, so that what became of it can be told. */
export interface SentEvent {
  id: string
  type: string
  data: unknown
  metadata: Record<string, unknown> | null
}

export interface SentAppend {
  stream_id: string
  expected_version: ExpectedVersion
  events: SentEvent[]
}

export interface SentCheck {
  stream_id: string
  expected_version: ExpectedVersion
}

interface Timed {
  /** Its place in the history, from 0. */
  n: number
  client: string
  /** Milliseconds on the one clock of the run: before the request was sent, and after the answer was complete. */
  from_ms: number
  to_ms: number
}

/** A condition that the store said does not hold. */
export interface ToldConflict {
  stream_id: string
  expected_version: ExpectedVersion
  current_version: number
}

export type AppendAnswer =
  /** One result for each of the appends. */
  | { outcome: 'ok'; results: Appended[] }
  /** Surely nothing was stored, says the answer. */
  | { outcome: 'refused'; code: string; conflicts?: ToldConflict[]; event_ids?: string[] }
  /** No complete answer, or one that says so. */
  | { outcome: 'unknown'; code: string }

/**
 * One attempt to store something whole. Of a request with `atomic: false` each append is one of these. Attempts that
 * send the same events, ids included, are attempts at the same thing.
 */
export interface AppendOperation extends Timed {
  kind: 'append'
  appends: SentAppend[]
  checks: SentCheck[]
  answer: AppendAnswer
}

/** Which events were asked for; all conditions have to hold. Without any: the whole feed. */
export interface Scope {
  stream_id?: string
  stream_prefix?: string
  types?: string[]
}

/** An event as it was delivered; of those of other people only the position. */
export type SeenEvent =
  | { position: number; stream_id: string; version: number; id: string; digest: string }
  | { position: number; stream_id?: never; version?: never; id?: never; digest?: never }

interface Seen extends Timed {
  of: Scope
  /** The range that was looked at, (after, up_to]: of versions when `of` names a stream, else of positions. */
  after: number
  up_to: number
  /** In the order of their numbers, so those of a backward page are turned round. */
  events: SeenEvent[]
}

/** One page. */
export interface ReadOperation extends Seen {
  kind: 'read'
  direction: 'forward' | 'backward'
  /** Version or position that the answer gave as the last one. */
  head: number
}

/** All that one follower got, over all its connections. */
export interface FollowOperation extends Seen {
  kind: 'follow'
  form: 'sse' | 'ndjson' | 'poll'
  connections: number
  /** Whether it arrived at what was stored last; what is missing of one that did not is missing for good. */
  has_caught_up: boolean
}

export type Operation = AppendOperation | ReadOperation | FollowOperation

/** Positions of other people's events, both ends included. */
export interface ForeignRange {
  foreign: [from: number, to: number]
}

/** The feed at the end, in the order in which it was delivered. */
export interface Dump {
  /** What was stored up to here is not in it. */
  after: number
  /** What the store gave as its last position before the dump began. */
  head: number
  entries: (StoredEvent | ForeignRange)[]
}

export interface Run {
  /** Streams whose ids start with this belong to the run; no others do. */
  prefix: string
  seed: number
  url: string
  started_at: string
}

export interface History {
  run: Run
  operations: Operation[]
  dump: Dump
}

/** Whether an entry of the dump stands for events that others wrote. */
export const isForeign = (entry: StoredEvent | ForeignRange): entry is ForeignRange => 'foreign' in entry
