// Telling a retry from a reused event id. Both stores use it, so that they agree.

import { canonicalJson } from '../../json/canonical.ts'
import type { Appended, AppendOutcome, AppendRequest, PreparedEvent, StreamAppend } from '../event-log.ts'

/** What is kept of an event; the text of the metadata may be spelled otherwise than it came. */
export interface StoredEvent {
  position: number
  streamId: string
  version: number
  id: string
  type: string
  data: Buffer
  isJson: boolean
  contentType: string | null
  metadata: string | null
  createdAt: string
}

/**
 * The outcome of a request of which at least one id is stored: its first answer when it is a retry, else which ids
 * are used. `stored` has every stored event whose id is in the request.
 */
export function replayOutcome(
  request: AppendRequest,
  stored: Map<string, StoredEvent>,
  replayed: boolean,
): AppendOutcome {
  const appends: Appended[] = []
  for (const append of request.appends) {
    const answer = replayAnswer(append, stored, replayed)
    if (answer === null) {
      const ids = request.appends.flatMap(({ events }) => events.map(({ id }) => id))
      return { kind: 'ids_reused', event_ids: ids.filter((id) => stored.has(id)) }
    }
    appends.push(answer)
  }
  return { kind: 'appended', appends }
}

function replayAnswer(append: StreamAppend, stored: Map<string, StoredEvent>, replayed: boolean): Appended | null {
  const first = stored.get((append.events[0] as PreparedEvent).id)
  let last: StoredEvent | undefined
  for (const event of append.events) {
    const found = stored.get(event.id)
    if (found === undefined || found.streamId !== append.streamId) return null
    if (last !== undefined && found.version !== last.version + 1) return null
    if (!isSameContent(event, found)) return null
    last = found
  }
  if (first === undefined || last === undefined) return null
  return {
    stream_id: append.streamId,
    first_version: first.version,
    version: last.version,
    first_position: first.position,
    position: last.position,
    event_ids: append.events.map(({ id }) => id),
    created_at: first.createdAt,
    replayed,
  }
}

function isSameContent(event: PreparedEvent, stored: StoredEvent): boolean {
  return (
    event.type === stored.type &&
    event.isJson === stored.isJson &&
    event.contentType === stored.contentType &&
    isSameData(event, stored.data) &&
    isSameMetadata(event.metadata, stored.metadata)
  )
}

function isSameData(event: PreparedEvent, data: Buffer): boolean {
  if (event.data.equals(data)) return true
  return event.isJson && canonicalJson(event.data) === canonicalJson(data)
}

function isSameMetadata(given: Buffer | null, stored: string | null): boolean {
  if (given === null || stored === null) return given === stored
  return canonicalJson(given) === canonicalJson(Buffer.from(stored))
}
