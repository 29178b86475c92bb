// Appends that can be retried: every event has its id before the first attempt.

import { appendEach } from './append-each.ts'
import type { Appended, AppendResults, ExpectedVersion, MultiAppend, MultiAppended, NewEvent } from './contract.ts'
import { newEventId } from './event-id.ts'
import type { CallOptions, Transport } from './transport.ts'

export interface AppendOptions extends CallOptions {
  /** Version the stream has to be at (0: it has no event yet), `exists`, or `any` (when absent). */
  expectedVersion?: ExpectedVersion | undefined
  /** On a conflict, have the events after `expectedVersion` in the error's `problem.events`: at most 100, and 16 MiB. */
  resync?: boolean | undefined
}

/** Ids are made here, so that the service knows a retry when it sees one. */
const withIds = (events: readonly NewEvent[]): NewEvent[] =>
  events.map((event) => ({ ...event, id: event.id ?? newEventId() }))

/** @throws AnnalsError `version_conflict` and others */
export function append(
  http: Transport,
  streamId: string,
  events: readonly NewEvent[],
  { expectedVersion, resync, signal }: AppendOptions = {},
): Promise<Appended> {
  return http.call('post', '/streams/{stream_id}/events', {
    path: { stream_id: streamId },
    query: { resync },
    body: {
      ...(expectedVersion === undefined ? {} : { expected_version: expectedVersion }),
      events: withIds(events),
    },
    signal,
  })
}

export interface AppendToStreams {
  /** All or nothing. @throws AnnalsError `version_conflict`, with every condition that failed in `problem.failed` */
  (request: MultiAppend & { atomic?: true }, options?: CallOptions): Promise<MultiAppended>
  /**
   * Each by itself: look at the `status` of every result. One that says 503 was tried again, at most
   * `retry.attempts` times in all.
   */
  (request: MultiAppend & { atomic: false }, options?: CallOptions): Promise<AppendResults>
}

export const appendToStreams = (http: Transport): AppendToStreams => {
  const send = (given: MultiAppend, options: CallOptions = {}) => {
    const request = { ...given, appends: given.appends.map((each) => ({ ...each, events: withIds(each.events) })) }
    if (request.atomic === false) return appendEach(http, request, options)
    return http.call('post', '/events', { body: request, signal: options.signal })
  }
  return send as AppendToStreams
}
