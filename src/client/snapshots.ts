import type { NewSnapshot, StoredEvent, StreamState } from './contract.ts'
import { readStream } from './read.ts'
import type { CallOptions, Transport } from './transport.ts'

/** Keeps the state of a stream at a version. @throws AnnalsError `snapshot_older`, `snapshot_ahead` */
export const saveSnapshot = (http: Transport, streamId: string, snapshot: NewSnapshot, { signal }: CallOptions = {}) =>
  http.call('put', '/streams/{stream_id}/snapshot', { path: { stream_id: streamId }, body: snapshot, signal })

/** @throws AnnalsError `snapshot_not_found` */
export const readSnapshot = (http: Transport, streamId: string, { signal }: CallOptions = {}) =>
  http.call('get', '/streams/{stream_id}/snapshot', { path: { stream_id: streamId }, signal })

export const deleteSnapshot = (http: Transport, streamId: string, { signal }: CallOptions = {}) =>
  http.call('delete', '/streams/{stream_id}/snapshot', { path: { stream_id: streamId }, signal })

/** A snapshot and what came after it. */
export type StateToFold = Omit<StreamState, 'events' | 'next'> & { events: AsyncIterable<StoredEvent> }

/** What is needed to build the state of a stream: `events` are those after the snapshot, up to `version`. */
export async function readState(http: Transport, streamId: string, { signal }: CallOptions = {}): Promise<StateToFold> {
  const { events, next, ...rest } = await http.call('get', '/streams/{stream_id}/state', {
    path: { stream_id: streamId },
    signal,
  })
  return { ...rest, events: next === null ? iterate(events) : andTheRest(http, rest, events, signal) }
}

async function* iterate(events: StoredEvent[]): AsyncGenerator<StoredEvent, void, undefined> {
  yield* events
}

// Events never change, so later pages still belong to the moment of the first one.
async function* andTheRest(
  http: Transport,
  { stream_id: streamId, version, snapshot }: Pick<StreamState, 'stream_id' | 'version' | 'snapshot'>,
  events: StoredEvent[],
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredEvent, void, undefined> {
  yield* events
  const fromVersion = (events.at(-1)?.version ?? snapshot?.version ?? 0) + 1
  for await (const event of readStream(http, streamId, { fromVersion, signal })) {
    if (event.version > version) return
    yield event
  }
}
