// A store that is correct because it is a list, and clients of it: makes histories without a service, on a clock of its own.

import type { Appended, ExpectedVersion, StoredEvent } from '../../src/client/client.ts'
import { digestOf } from '../../src/proof/digest.ts'
import type {
  AppendAnswer,
  AppendOperation,
  History,
  Operation,
  Scope,
  SeenEvent,
  SentAppend,
  SentCheck,
  ToldConflict,
} from '../../src/proof/history.ts'

const PREFIX = 'proof-test/'

/** What becomes of a request: whether it arrives, and whether its answer does. `late`: it arrives after it was given up. */
export type Fate = 'answered' | 'reply_lost' | 'request_lost' | 'late'

/** How long before and after it takes effect a request is under way; effects are 10 apart. */
export interface Spread {
  before: number
  after: number
}

const NARROW: Spread = { before: 2, after: 2 }
const FOREIGN = 'someone-else'

export class ModelStore {
  readonly operations: Operation[] = []
  readonly #feed: StoredEvent[] = []
  #now = 100
  #ids = 0

  /** Appends as a request that is sent once. */
  append(appends: SentAppend[], checks: SentCheck[] = [], fate: Fate = 'answered', spread = NARROW): AppendOperation {
    this.#now += 10
    const answer: AppendAnswer =
      fate === 'request_lost' ? { outcome: 'unknown', code: 'unreachable' } : this.#apply(appends, checks)
    const isAnswered = fate === 'answered'
    return this.#record({
      kind: 'append',
      ...this.#times(spread, fate === 'late'),
      appends,
      checks,
      answer: isAnswered ? answer : { outcome: 'unknown', code: 'unreachable' },
    })
  }

  /** The same request once more. */
  retry({ appends, checks }: AppendOperation, fate: Fate = 'answered', spread = NARROW): AppendOperation {
    return this.append(appends, checks, fate, spread)
  }

  /** An append to one stream, with new ids. */
  to(stream: string, events: number, expected: ExpectedVersion = 'any'): SentAppend {
    return {
      stream_id: PREFIX + stream,
      expected_version: expected,
      events: Array.from({ length: events }, () => {
        const id = `00000000-0000-7000-8000-${String(++this.#ids).padStart(12, '0')}`
        return { id, type: this.#ids % 2 === 0 ? 'Even' : 'Odd', data: { n: this.#ids }, metadata: null }
      }),
    }
  }

  /** Somebody else stores something. */
  foreign(events: number): void {
    this.#now += 10
    for (let i = 0; i < events; i++) this.#store(FOREIGN, `f${this.#feed.length}`, 'Foreign', null)
  }

  /** A page; `start` is the number before the first forwards, and the one after the first backwards. */
  read(of: Scope, direction: 'forward' | 'backward', start: number, limit: number, spread = NARROW): void {
    this.#now += 10
    const isForward = direction === 'forward'
    const numberOf = (event: StoredEvent) => (of.stream_id === undefined ? event.position : event.version)
    const matching = this.#feed.filter((event) => isIn(of, event))
    const beyond = matching.filter((event) => (isForward ? numberOf(event) > start : numberOf(event) < start))
    const events = isForward ? beyond.slice(0, limit) : beyond.slice(-limit)
    const head = of.stream_id === undefined ? this.#feed.length : matching.length
    const isFull = events.length === limit
    const [first, last] = [events[0], events.at(-1)].map((event) => (event === undefined ? 0 : numberOf(event)))
    this.#record({
      kind: 'read',
      ...this.#times(spread, false),
      of,
      direction,
      after: isForward ? start : isFull ? (first as number) - 1 : 0,
      up_to: !isForward ? Math.min(start - 1, head) : isFull ? (last as number) : Math.max(head, start),
      events: events.map(seen),
      head,
    })
  }

  /** A follower that has followed all the time. */
  follow(of: Scope, after: number, form: 'sse' | 'ndjson' | 'poll' = 'sse'): void {
    this.#now += 10
    const numberOf = (event: StoredEvent) => (of.stream_id === undefined ? event.position : event.version)
    const matching = this.#feed.filter((event) => isIn(of, event))
    this.#record({
      kind: 'follow',
      form,
      ...this.#times(NARROW, false),
      of,
      after,
      up_to: Math.max(after, of.stream_id === undefined ? this.#feed.length : matching.length),
      events: matching.filter((event) => numberOf(event) > after).map(seen),
      connections: 1,
      has_caught_up: true,
    })
  }

  history(): History {
    const entries: History['dump']['entries'] = []
    for (const event of this.#feed) {
      const last = entries.at(-1)
      if (event.stream_id !== FOREIGN) entries.push(event)
      else if (last !== undefined && 'foreign' in last) last.foreign[1] = event.position
      else entries.push({ foreign: [event.position, event.position] })
    }
    return structuredClone({
      run: { prefix: PREFIX, seed: 1, url: 'http://model', started_at: '2026-01-01T00:00:00.000Z' },
      operations: this.operations,
      dump: { after: 0, head: this.#feed.length, entries },
    })
  }

  #times({ before, after }: Spread, isLate: boolean) {
    return {
      client: 'c',
      n: this.operations.length,
      from_ms: this.#now - before - 3,
      to_ms: this.#now + (isLate ? -2 : after),
    }
  }

  #record<T extends Operation>(operation: T): T {
    this.operations.push(operation)
    return operation
  }

  #versionOf = (streamId: string): number => this.#feed.findLast((event) => event.stream_id === streamId)?.version ?? 0

  #apply(appends: SentAppend[], checks: SentCheck[]): AppendAnswer {
    const stored = appends.map(({ stream_id: streamId, events }) =>
      events.map(({ id, data }) => {
        const found = this.#feed.find((event) => event.id === id)
        return found && { event: found, isSame: found.stream_id === streamId && sameJson(found.data, data) }
      }),
    )
    const known = stored.flat().filter((each) => each !== undefined)
    if (known.length > 0) {
      const isReplay = known.length === stored.flat().length && known.every(({ isSame }) => isSame)
      if (!isReplay)
        return { outcome: 'refused', code: 'event_id_reused', event_ids: known.map(({ event }) => event.id) }
      return {
        outcome: 'ok',
        results: stored.map((each) =>
          answerFor(
            each.map((found) => (found as { event: StoredEvent }).event),
            true,
          ),
        ),
      }
    }
    const conflicts = [...appends, ...checks].flatMap(
      ({ stream_id: streamId, expected_version: expected }): ToldConflict[] => {
        const current = this.#versionOf(streamId)
        if (expected === 'any' || expected === current || (expected === 'exists' && current > 0)) return []
        return [{ stream_id: streamId, expected_version: expected, current_version: current }]
      },
    )
    if (conflicts.length > 0) return { outcome: 'refused', code: 'version_conflict', conflicts }
    const results = appends.map(({ stream_id: streamId, events }) =>
      answerFor(
        events.map(({ id, type, data }) => this.#store(streamId, id, type, data)),
        false,
      ),
    )
    return { outcome: 'ok', results }
  }

  #store(streamId: string, id: string, type: string, data: unknown): StoredEvent {
    const event: StoredEvent = {
      position: this.#feed.length + 1,
      stream_id: streamId,
      version: this.#versionOf(streamId) + 1,
      id,
      type,
      data,
      content_type: 'application/json',
      metadata: null,
      created_at: `2026-01-01T00:00:${String(this.#now % 60).padStart(2, '0')}.000000Z`,
    }
    this.#feed.push(event)
    return event
  }
}

/** A stream of the run. */
export const streamOf = (name: string): string => PREFIX + name

/** All streams of the run. */
export const OWN: Scope = { stream_prefix: PREFIX }

const sameJson = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

const isIn = ({ stream_id: id, stream_prefix: prefix, types }: Scope, event: StoredEvent): boolean =>
  (id === undefined || event.stream_id === id) &&
  (prefix === undefined || event.stream_id.startsWith(prefix)) &&
  (types === undefined || types.includes(event.type))

const seen = (event: StoredEvent): SeenEvent => {
  const { position, stream_id, version, id } = event
  return stream_id === FOREIGN ? { position } : { position, stream_id, version, id, digest: digestOf(event) }
}

function answerFor(events: StoredEvent[], replayed: boolean): Appended {
  const [first, last] = [events[0] as StoredEvent, events.at(-1) as StoredEvent]
  return {
    stream_id: first.stream_id,
    first_version: first.version,
    version: last.version,
    first_position: first.position,
    position: last.position,
    event_ids: events.map(({ id }) => id),
    created_at: first.created_at,
    replayed,
  }
}
