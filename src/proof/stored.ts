// The dump, indexed: what is stored in the streams of the run.

import type { StoredEvent } from '../client/client.ts'
import { type Dump, isForeign, type Scope } from './history.ts'

export class Stored {
  /** In the order of the dump. */
  readonly events: readonly StoredEvent[]
  readonly byStream: ReadonlyMap<string, StoredEvent[]>
  /** Last position of the dump, of whomever. */
  readonly last: number
  readonly #byId = new Map<string, StoredEvent>()
  readonly #byPosition = new Map<number, StoredEvent>()

  constructor({ after, entries }: Dump) {
    this.events = entries.filter((entry): entry is StoredEvent => !isForeign(entry))
    const byStream = new Map<string, StoredEvent[]>()
    for (const event of this.events) {
      if (!this.#byId.has(event.id)) this.#byId.set(event.id, event)
      if (!this.#byPosition.has(event.position)) this.#byPosition.set(event.position, event)
      const stream = byStream.get(event.stream_id)
      if (stream === undefined) byStream.set(event.stream_id, [event])
      else stream.push(event)
    }
    this.byStream = byStream
    const last = entries.at(-1)
    this.last = last === undefined ? after : isForeign(last) ? last.foreign[1] : last.position
  }

  byId(id: string): StoredEvent | undefined {
    return this.#byId.get(id)
  }

  at(position: number): StoredEvent | undefined {
    return this.#byPosition.get(position)
  }

  /** Version of a stream just before a position. */
  versionBefore(streamId: string, position: number): number {
    const stream = this.byStream.get(streamId) ?? []
    return stream[firstAtLeast(stream, 'position', position) - 1]?.version ?? 0
  }

  /** The run's events within (after, upTo], of versions when the scope is a stream. */
  inRange(scope: Scope, after: number, upTo: number): StoredEvent[] {
    const isStream = scope.stream_id !== undefined
    const counted = isStream ? 'version' : 'position'
    const events = isStream ? (this.byStream.get(scope.stream_id as string) ?? []) : this.events
    const from = firstAtLeast(events, counted, after + 1)
    return events.slice(from, firstAtLeast(events, counted, upTo + 1)).filter((event) => isIn(scope, event))
  }
}

const isIn = ({ stream_prefix: prefix, types }: Scope, { stream_id: streamId, type }: StoredEvent): boolean =>
  (prefix === undefined || streamId.startsWith(prefix)) && (types === undefined || types.includes(type))

/** Index of the first event whose number is at least `least`, by bisection. */
function firstAtLeast(events: readonly StoredEvent[], counted: 'position' | 'version', least: number): number {
  let low = 0
  let high = events.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((events[middle] as StoredEvent)[counted] < least) low = middle + 1
    else high = middle
  }
  return low
}
