// The statement that appends a batch: requests go in, an answer per condition comes out.
// What it does inside is in migrations/0010_append_batch.sql; one event alone may go by append-one.ts.

import type { AppendRequest, ExpectedVersion, PreparedEvent } from '../event-log.ts'
import { quoteIdentifier } from '../sql.ts'
import type { Statement } from '../statement.ts'
import { BinaryArray } from './binary-array.ts'

/** Answers of `annals_append_batch` per condition. */
export const APPLIED = 0
export const CONFLICT = 1
export const ID_STORED = 2

/** One array per column; a condition is an append or a check, in the order of the requests, appends first. */
export interface BatchAnswer {
  createdAt: string
  /** The last position before the batch, and the last one after it. */
  headBefore: number
  headAfter: number
  status: number[]
  currentVersion: number[]
  firstVersion: number[]
  firstPosition: number[]
}

/** The name under which the statement of a batch is prepared. */
export const BATCH_STATEMENT = 'annals_append_batch'

const TYPES = {
  streams: 'text',
  conditionGroup: 'int4',
  conditionStream: 'int4',
  expected: 'int8',
  eventCount: 'int4',
  eventsBefore: 'int4',
  lookupIds: 'uuid',
  lookupCondition: 'int4',
  eventCondition: 'int4',
  eventPlace: 'int4',
  eventIds: 'uuid',
  eventTypes: 'text',
  eventData: 'bytea',
  eventMetadata: 'jsonb',
  eventContentTypes: 'text',
  eventIsJson: 'bool',
} as const

type Arrays = Record<keyof typeof TYPES, BinaryArray>

export interface BatchOptions {
  /**
   * Which ids are looked up first. `conditional`: given ones, where a condition may fail because they are stored already;
   * of all others a stored id fails the whole statement with a unique violation. `given`: all that clients gave. `all`:
   * those made here too, for a batch that may have been applied already.
   */
  lookUp: 'conditional' | 'given' | 'all'
  /** Longest wait for each lock. */
  lockTimeoutMs: number
}

/** A condition of the batch in flight: an append, or a check, which appends nothing. */
interface Condition {
  /** Index into the distinct streams of the batch. */
  stream: number
  eventCount: number
  /** How many events the requests before it append to the same stream. */
  eventsBefore: number
}

/** Makes the statements. Its buffers are reused from batch to batch, so one batch may be in flight at a time. */
export class AppendBatch {
  readonly #text: string
  readonly #arrays: Arrays
  #conditions: Condition[] = []

  constructor(schema: string) {
    const parameters = Array.from({ length: Object.keys(TYPES).length + 2 }, (_, i) => `$${i + 1}`)
    this.#text = `SELECT * FROM ${quoteIdentifier(schema)}.annals_append_batch(${parameters.join(',')})`
    this.#arrays = Object.fromEntries(
      Object.entries(TYPES).map(([name, type]) => [name, new BinaryArray(type)]),
    ) as Arrays
  }

  /** The statement for these requests. */
  statement(requests: AppendRequest[], { lookUp, lockTimeoutMs }: BatchOptions): Statement {
    const arrays = Object.values(this.#arrays)
    for (const array of arrays) array.start()
    const conditions: Condition[] = []
    const streams = new Map<string, number>()
    const eventsOf: number[] = []
    let largestBytes = 0
    for (let group = 0; group < requests.length; group++) {
      const { appends, checks } = requests[group] as AppendRequest
      const first = conditions.length
      const looksUpGiven = lookUp !== 'conditional' || isConditional(requests[group] as AppendRequest)
      for (const { streamId, expectedVersion, events } of appends) {
        const stream = this.#stream(streams, streamId)
        conditions.push({ stream, eventCount: events.length, eventsBefore: eventsOf[stream] ?? 0 })
        this.#condition(group, expectedVersion, conditions.at(-1) as Condition)
        const bytes = this.#events(events, conditions.length, looksUpGiven, lookUp === 'all')
        if (bytes > largestBytes) largestBytes = bytes
      }
      for (const { streamId, expectedVersion } of checks) {
        const stream = this.#stream(streams, streamId)
        conditions.push({ stream, eventCount: 0, eventsBefore: eventsOf[stream] ?? 0 })
        this.#condition(group, expectedVersion, conditions.at(-1) as Condition)
      }
      // Within a request every condition is about the versions before it.
      for (let i = first; i < conditions.length; i++) {
        const { stream, eventCount } = conditions[i] as Condition
        eventsOf[stream] = (eventsOf[stream] ?? 0) + eventCount
      }
    }
    this.#conditions = conditions
    const values = [String(lockTimeoutMs), String(largestBytes), ...arrays.map((array) => array.finish())]
    return { name: BATCH_STATEMENT, text: this.#text, values }
  }

  /** The answer to the last statement; its row as text. */
  answer(row: (string | null)[]): BatchAnswer {
    const [createdAt, headBefore, versions, status, currentVersion, firstVersion, firstPosition] = row
    if (typeof status !== 'string') {
      return this.#allApplied(createdAt as string, Number(headBefore), readInts(versions as string))
    }
    const statuses = readInts(status)
    const appended = this.#conditions.reduce(
      (sum, { eventCount }, i) => sum + (statuses[i] === APPLIED ? eventCount : 0),
      0,
    )
    return {
      createdAt: createdAt as string,
      headBefore: Number(headBefore),
      headAfter: Number(headBefore) + appended,
      status: statuses,
      currentVersion: readInts(currentVersion as string),
      firstVersion: readInts(firstVersion as string),
      firstPosition: readInts(firstPosition as string),
    }
  }

  #allApplied(createdAt: string, headBefore: number, versions: number[]): BatchAnswer {
    const none = { status: [], currentVersion: [], firstVersion: [], firstPosition: [] }
    const answer: BatchAnswer = { createdAt, headBefore, headAfter: headBefore, ...none }
    let position = headBefore + 1
    for (const { stream, eventCount, eventsBefore } of this.#conditions) {
      const version = (versions[stream] as number) + eventsBefore
      answer.status.push(APPLIED)
      answer.currentVersion.push(version)
      answer.firstVersion.push(version + 1)
      answer.firstPosition.push(position)
      position += eventCount
    }
    answer.headAfter = position - 1
    return answer
  }

  #stream(streams: Map<string, number>, streamId: string): number {
    const known = streams.get(streamId)
    if (known !== undefined) return known
    streams.set(streamId, streams.size)
    this.#arrays.streams.text(streamId)
    return streams.size - 1
  }

  #condition(group: number, expected: ExpectedVersion, { stream, eventCount, eventsBefore }: Condition): void {
    const arrays = this.#arrays
    arrays.conditionGroup.int4(group)
    arrays.conditionStream.int4(stream + 1)
    arrays.expected.int8(codeOf(expected))
    arrays.eventCount.int4(eventCount)
    arrays.eventsBefore.int4(eventsBefore)
  }

  /** Adds the events of the condition with this number; answers the size of the largest in bytes. */
  #events(events: PreparedEvent[], condition: number, looksUpGiven: boolean, looksUpAll: boolean): number {
    const arrays = this.#arrays
    let largestBytes = 0
    for (let place = 0; place < events.length; place++) {
      const event = events[place] as PreparedEvent
      if (looksUpAll || (looksUpGiven && event.hasClientId)) {
        arrays.lookupIds.uuid(event.id)
        arrays.lookupCondition.int4(condition)
      }
      arrays.eventCondition.int4(condition)
      arrays.eventPlace.int4(place)
      arrays.eventIds.uuid(event.id)
      arrays.eventTypes.text(event.type)
      arrays.eventData.bytea(event.data)
      if (event.metadata === null) arrays.eventMetadata.null()
      else arrays.eventMetadata.jsonb(event.metadata)
      if (event.contentType === null) arrays.eventContentTypes.null()
      else arrays.eventContentTypes.text(event.contentType)
      arrays.eventIsJson.bool(event.isJson)
      largestBytes = Math.max(largestBytes, bytesOf(event))
    }
    return largestBytes
  }
}

const isConditional = ({ appends, checks }: AppendRequest): boolean =>
  checks.length > 0 || appends.some(({ expectedVersion }) => expectedVersion !== 'any')

/** Bytes of an event's data and metadata. */
export const bytesOf = ({ data, metadata }: PreparedEvent): number => data.length + (metadata?.length ?? 0)

const codeOf = (expected: ExpectedVersion): number => (expected === 'any' ? -1 : expected === 'exists' ? -2 : expected)

const readInts = (text: string): number[] => (text === '{}' ? [] : text.slice(1, -1).split(',').map(Number))
