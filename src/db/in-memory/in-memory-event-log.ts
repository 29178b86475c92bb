// The same contract in memory, for the unit tests of those who use the store. Nothing is kept when the process ends.

import { replayOutcome, type StoredEvent } from '../append/replay.ts'
import type {
  Appended,
  AppendOutcome,
  AppendRequest,
  EventLine,
  EventLog,
  ExpectedVersion,
  FailedCondition,
  FeedPage,
  FeedQuery,
  PageText,
  PreparedEvent,
  Separator,
  StreamInfo,
  StreamListQuery,
  StreamPage,
  StreamQuery,
} from '../event-log.ts'
import { pageText } from '../read/read-events.ts'

export class InMemoryEventLog implements EventLog {
  readonly #feed: StoredEvent[] = []
  readonly #streams = new Map<string, StoredEvent[]>()
  readonly #byId = new Map<string, StoredEvent>()

  readonly #listeners = new Set<() => void>()

  append(requests: AppendRequest[]): Promise<AppendOutcome[]> {
    const head = this.#feed.length
    const outcomes = requests.map((request) => this.#append(request))
    if (this.#feed.length > head) for (const listener of this.#listeners) listener()
    return Promise.resolve(outcomes)
  }

  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readStream(query: StreamQuery): Promise<StreamPage> {
    const stream = this.#streams.get(query.streamId) ?? []
    const isForward = query.direction === 'forward'
    const found = stream.filter(
      (event) =>
        (query.fromVersion === undefined ||
          (isForward ? event.version >= query.fromVersion : event.version <= query.fromVersion)) &&
        (query.toVersion === undefined || event.version <= query.toVersion) &&
        isOfTypes(event, query.types),
    )
    if (!isForward) found.reverse()
    return Promise.resolve({ version: stream.length, ...page(found, query, (event) => event.version) })
  }

  readFeed(query: FeedQuery): Promise<FeedPage> {
    const found = this.#feed.filter((event) => matches(event, query))
    if (query.direction === 'backward') found.reverse()
    return Promise.resolve({ head: this.#feed.length, ...page(found, query, (event) => event.position) })
  }

  async readStreamText(query: StreamQuery, separator: Separator): Promise<PageText> {
    const { version, events, isFull } = await this.readStream(query)
    return pageText(events, version, isFull, separator)
  }

  async readFeedText(query: FeedQuery, separator: Separator): Promise<PageText> {
    const { head, events, isFull } = await this.readFeed(query)
    return pageText(events, head, isFull, separator)
  }

  readEvent(eventId: string): Promise<string | null> {
    const event = this.#byId.get(eventId)
    return Promise.resolve(event === undefined ? null : eventJson(event))
  }

  listStreams(query: StreamListQuery): Promise<StreamInfo[]> {
    const ids = [...this.#streams.keys()]
      .filter(
        (id) => id.startsWith(query.prefix ?? '') && (query.after === undefined || inByteOrder(id, query.after) > 0),
      )
      .sort(inByteOrder)
    return Promise.resolve(ids.slice(0, query.limit).map((id) => this.#info(id) as StreamInfo))
  }

  readStreamInfo(streamId: string): Promise<StreamInfo | null> {
    return Promise.resolve(this.#info(streamId))
  }

  head(): Promise<number> {
    return Promise.resolve(this.#feed.length)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #version(streamId: string): number {
    return this.#streams.get(streamId)?.length ?? 0
  }

  #info(streamId: string): StreamInfo | null {
    const stream = this.#streams.get(streamId)
    const last = stream?.at(-1)
    if (stream === undefined || last === undefined) return null
    return {
      stream_id: streamId,
      version: last.version,
      created_at: (stream[0] as StoredEvent).createdAt,
      updated_at: last.createdAt,
    }
  }

  #append(request: AppendRequest): AppendOutcome {
    const ids = request.appends.flatMap(({ events }) => events.map(({ id }) => id))
    const stored = new Map(ids.flatMap((id) => (this.#byId.has(id) ? [[id, this.#byId.get(id) as StoredEvent]] : [])))
    if (stored.size > 0) return replayOutcome(request, stored, true)
    const failed = this.#failedConditions(request)
    if (failed.length > 0) return { kind: 'conflict', failed }
    const createdAt = new Date().toISOString().replace('Z', '000Z')
    return {
      kind: 'appended',
      appends: request.appends.map(({ streamId, events }) => this.#store(streamId, events, createdAt)),
    }
  }

  #failedConditions(request: AppendRequest): FailedCondition[] {
    const failed = (kind: 'append' | 'check') => (condition: Condition, index: number) => {
      const current = this.#version(condition.streamId)
      return holds(condition.expectedVersion, current)
        ? []
        : [
            {
              index,
              kind,
              stream_id: condition.streamId,
              expected_version: condition.expectedVersion,
              current_version: current,
            },
          ]
    }
    return [...request.appends.flatMap(failed('append')), ...request.checks.flatMap(failed('check'))]
  }

  #store(streamId: string, events: PreparedEvent[], createdAt: string): Appended {
    const stream = this.#streams.get(streamId) ?? []
    this.#streams.set(streamId, stream)
    const firstVersion = stream.length + 1
    const firstPosition = this.#feed.length + 1
    for (const { id, type, data, isJson, contentType, metadata } of events) {
      const event: StoredEvent = {
        position: this.#feed.length + 1,
        streamId,
        version: stream.length + 1,
        id,
        type,
        // A copy: the caller's buffer may be reused.
        data: Buffer.from(data),
        isJson,
        contentType,
        metadata: metadata?.toString() ?? null,
        createdAt,
      }
      this.#feed.push(event)
      stream.push(event)
      this.#byId.set(id, event)
    }
    return {
      stream_id: streamId,
      first_version: firstVersion,
      version: stream.length,
      first_position: firstPosition,
      position: this.#feed.length,
      event_ids: events.map(({ id }) => id),
      created_at: createdAt,
      replayed: false,
    }
  }
}

function page(
  found: StoredEvent[],
  { limit, maxBytes }: { limit: number; maxBytes: number },
  at: (event: StoredEvent) => number,
): { events: EventLine[]; isFull: boolean } {
  const events: EventLine[] = []
  let bytes = 0
  for (const event of found) {
    if (events.length === limit || bytes >= maxBytes) break
    events.push({ at: at(event), json: eventJson(event) })
    bytes += event.data.length
  }
  return { events, isFull: events.length === limit || bytes >= maxBytes }
}

interface Condition {
  streamId: string
  expectedVersion: ExpectedVersion
}

const holds = (expected: ExpectedVersion, current: number): boolean =>
  expected === 'any' || (expected === 'exists' ? current > 0 : expected === current)

const inByteOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

const isOfTypes = (event: StoredEvent, types: string[] | undefined): boolean =>
  types === undefined || types.includes(event.type)

function matches(event: StoredEvent, query: FeedQuery): boolean {
  const at = Date.parse(event.createdAt)
  return (
    event.position > (query.after ?? 0) &&
    event.position < (query.before ?? Number.POSITIVE_INFINITY) &&
    event.position <= (query.upTo ?? Number.POSITIVE_INFINITY) &&
    isOfTypes(event, query.types) &&
    event.streamId.startsWith(query.streamPrefix ?? '') &&
    (query.since === undefined || at >= Date.parse(query.since)) &&
    (query.until === undefined || at < Date.parse(query.until)) &&
    Object.entries(query.metadata ?? {}).every(([key, value]) => metadataOf(event)[key] === value)
  )
}

const metadataOf = (event: StoredEvent): Record<string, unknown> =>
  event.metadata === null ? {} : (JSON.parse(event.metadata) as Record<string, unknown>)

function eventJson(event: StoredEvent): string {
  const data = event.isJson ? `"data":${event.data}` : `"data_base64":"${event.data.toString('base64')}"`
  const contentType = event.contentType ?? (event.isJson ? 'application/json' : 'application/octet-stream')
  return (
    `{"position":${event.position},"stream_id":${JSON.stringify(event.streamId)},"version":${event.version},` +
    `"id":"${event.id}","type":${JSON.stringify(event.type)},${data},"content_type":${JSON.stringify(contentType)},` +
    `"metadata":${event.metadata ?? 'null'},"created_at":"${event.createdAt}"}`
  )
}
