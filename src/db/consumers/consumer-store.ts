// What keeps consumers does this: named positions in the feed with a filter, leases for members that share the work,
// and events that were set aside.

import type { EventLine, FeedFilter } from '../event-log.ts'

/** The position after which a consumer begins; `head`: where the store is at the moment. */
export type ConsumerStart = number | 'head'

export interface ConsumerDefinition {
  filter: FeedFilter
  start: ConsumerStart
  /** 1 to 64. */
  partitions: number
  leaseSeconds: number
  maxAttempts: number
}

/** What is asked for; start and partitions of a consumer that exists can't change, and may be left out. */
export type ConsumerRequest = Pick<ConsumerDefinition, 'filter' | 'leaseSeconds' | 'maxAttempts'> &
  Partial<Pick<ConsumerDefinition, 'start' | 'partitions'>>

export interface ConsumerMember {
  member: string
  seen_at: string
  partitions: number[]
  in_flight: number
  lease_until: string | null
}

/** Where a consumer stands. Counts of events and positions; times are RFC 3339 UTC. */
export interface ConsumerStanding extends ConsumerDefinition {
  name: string
  isPaused: boolean
  /** Of all partitions the least: everything up to here is done with. */
  checkpoint: number
  head: number
  /** Age of the first event after the checkpoint; 0 without one. */
  lagSeconds: number
  inFlight: number
  parked: number
  replaying: number
  members: ConsumerMember[]
  createdAt: string
}

/** Where a page of a consumer begins and ends. */
export interface ConsumerBatch {
  filter: FeedFilter
  checkpoint: number
  head: number
  events: EventLine[]
  /** Everything up to here is in `events` or does not pass the filter. */
  position: number
}

export interface ClaimRequest {
  member: string
  limit: number
  /** The events end after the one that brings them to this size. */
  maxBytes: number
}

export interface Claim {
  filter: FeedFilter
  /** Null when there was nothing to hand out. */
  token: string | null
  leaseUntil: string | null
  events: EventLine[]
  /** Of each event, how often it was handed out. */
  attempts: number[]
  checkpoint: number
  head: number
  /** Whether there may be more to hand out without a new event: somebody else has it now, or it was just looked for. */
  mayHaveMore: boolean
}

/** What became of a lease, or of a consumer without leases. */
export interface Progress {
  checkpoint: number
  /** Events of the lease that are done with now, or positions that the checkpoint moved. */
  acknowledged: number
  inFlight: number
  leaseUntil: string | null
  parked: number
}

export interface NackRequest {
  token: string
  action: 'retry' | 'park'
  /** The one that failed; everything of the lease when absent. */
  position?: number
  reason?: string
  delaySeconds?: number
}

export interface ParkedEvent {
  position: number
  attempts: number
  reason: string | null
  parked_at: string
  replaying: boolean
  /** The event as a line of JSON. */
  json: string
}

/**
 * Everything about a consumer that does not exist is refused with `consumer_not_found`. Of the other errors each
 * method names its own.
 */
export interface ConsumerStore {
  /** Makes it, or changes filter, lease and attempts. Throws `consumer_differs`, `too_many_consumers`, `cursor_ahead`. */
  put(name: string, request: ConsumerRequest): Promise<{ isNew: boolean; consumer: ConsumerStanding }>
  /** By name. */
  list(): Promise<ConsumerStanding[]>
  read(name: string): Promise<ConsumerStanding>
  delete(name: string): Promise<void>
  /** The next events after the checkpoint. Throws `consumer_paused`. */
  readNext(name: string, limit: number, maxBytes: number): Promise<ConsumerBatch>
  /** Everything up to the position is done with. Throws `cursor_ahead`, `consumer_claimed` while members work. */
  acknowledge(name: string, position: number): Promise<Progress>
  /** Hands out events under a lease; the member gives back what it had. Throws `consumer_paused`. */
  claim(name: string, request: ClaimRequest): Promise<Claim>
  /** Those of the lease up to the position are done with, or all; the rest is kept for another lease time. Throws `lease_lost`. */
  finish(name: string, token: string, position?: number): Promise<Progress>
  /** Gives back, or sets aside. Throws `lease_lost`. */
  nack(name: string, request: NackRequest): Promise<Progress>
  /** By position, after `after`. */
  listParked(name: string, after: number, limit: number): Promise<ParkedEvent[]>
  /** The first ones that were set aside are to be handed out again; answers how many. */
  replayParked(name: string, limit: number): Promise<number>
  setPaused(name: string, isPaused: boolean): Promise<ConsumerStanding>
  /** Goes on after this position; leases are lost. Throws `cursor_ahead`. */
  reset(name: string, position: ConsumerStart): Promise<ConsumerStanding>
  /** Calls back when something of this consumer may have come free here; returns how to stop that. */
  onReleased(name: string, listener: () => void): () => void
}
