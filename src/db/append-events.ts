// The one statement that appends: a batch of requests goes in, an answer per condition comes out.
// What it does inside is in migrations/0005_append.sql.

import type { CustomTypesConfig } from 'pg'
import { BinaryArray } from './binary-array.ts'
import type { AppendRequest, ExpectedVersion, PreparedEvent, StreamAppend } from './event-log.ts'
import { quoteIdentifier } from './sql.ts'

/** Answers of `annals_append` per condition. */
export const APPLIED = 0
export const CONFLICT = 1
export const ID_STORED = 2

/** One array per column; a condition is an append or a check, in the order of the requests, appends first. */
export interface BatchAnswer {
  createdAt: string
  status: number[]
  currentVersion: number[]
  firstVersion: number[]
  firstPosition: number[]
}

const TYPES = {
  streams: 'text',
  conditionGroup: 'int4',
  conditionStream: 'int4',
  expected: 'int8',
  eventCount: 'int4',
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

/** What is sent for a batch. */
export interface AppendStatement {
  name: string
  text: string
  values: unknown[]
}

export interface BatchOptions {
  /** Look up the ids that were made here too: needed when the same batch may have been applied already. */
  lookUpAll: boolean
  /** Longest wait for each lock. */
  lockTimeoutMs: number
}

/** Makes the statements. Its buffers are reused from batch to batch, so one batch may be in flight at a time. */
export class AppendBatch {
  readonly #text: string
  readonly #oneText: string
  readonly #arrays: Arrays

  constructor(schema: string) {
    const call = (name: string, parameters: number) =>
      `SELECT * FROM ${quoteIdentifier(schema)}.${name}(${Array.from({ length: parameters }, (_, i) => `$${i + 1}`).join(',')})`
    this.#text = call('annals_append', Object.keys(TYPES).length + 2)
    this.#oneText = call('annals_append_one', 11)
    this.#arrays = Object.fromEntries(
      Object.entries(TYPES).map(([name, type]) => [name, new BinaryArray(type)]),
    ) as Arrays
  }

  /** The statement for these requests. */
  statement(requests: AppendRequest[], options: BatchOptions): AppendStatement {
    const [request] = requests
    const [append] = request?.appends ?? []
    if (requests.length === 1 && request?.appends.length === 1 && request.checks.length === 0) {
      if (append?.events.length === 1) return this.#one(append, options)
    }
    return { name: 'annals_append', text: this.#text, values: this.#encode(requests, options) }
  }

  #one(
    { streamId, expectedVersion, events }: StreamAppend,
    { lookUpAll, lockTimeoutMs }: BatchOptions,
  ): AppendStatement {
    const event = events[0] as PreparedEvent
    const bytes = event.data.length + (event.metadata?.length ?? 0)
    const values = [
      String(lockTimeoutMs),
      String(bytes),
      streamId,
      String(codeOf(expectedVersion)),
      event.hasClientId || lookUpAll ? 't' : 'f',
      event.id,
      event.type,
      event.data,
      event.metadata?.toString() ?? null,
      event.contentType,
      event.isJson ? 't' : 'f',
    ]
    return { name: 'annals_append_one', text: this.#oneText, values }
  }

  #encode(requests: AppendRequest[], { lookUpAll, lockTimeoutMs }: BatchOptions): unknown[] {
    const arrays = this.#arrays
    for (const array of Object.values(arrays)) array.start()
    const streams = new Map<string, number>()
    let condition = 0
    let group = 0
    let largestBytes = 0
    for (const request of requests) {
      group++
      for (const append of request.appends) {
        condition++
        this.#condition(streams, group, append.streamId, append.expectedVersion, append.events.length)
        let place = 0
        for (const event of append.events) {
          if (event.hasClientId || lookUpAll) {
            arrays.lookupIds.uuid(event.id)
            arrays.lookupCondition.int4(condition)
          }
          arrays.eventCondition.int4(condition)
          arrays.eventPlace.int4(place++)
          arrays.eventIds.uuid(event.id)
          arrays.eventTypes.text(event.type)
          arrays.eventData.bytea(event.data)
          if (event.metadata === null) arrays.eventMetadata.null()
          else arrays.eventMetadata.jsonb(event.metadata)
          if (event.contentType === null) arrays.eventContentTypes.null()
          else arrays.eventContentTypes.text(event.contentType)
          arrays.eventIsJson.bool(event.isJson)
          largestBytes = Math.max(largestBytes, event.data.length + (event.metadata?.length ?? 0))
        }
      }
      for (const check of request.checks) {
        condition++
        this.#condition(streams, group, check.streamId, check.expectedVersion, 0)
      }
    }
    return [String(lockTimeoutMs), String(largestBytes), ...Object.values(arrays).map((array) => array.finish())]
  }

  #condition(streams: Map<string, number>, group: number, streamId: string, expected: ExpectedVersion, count: number) {
    const arrays = this.#arrays
    let index = streams.get(streamId)
    if (index === undefined) {
      index = streams.size + 1
      streams.set(streamId, index)
      arrays.streams.text(streamId)
    }
    arrays.conditionGroup.int4(group)
    arrays.conditionStream.int4(index)
    arrays.expected.int8(codeOf(expected))
    arrays.eventCount.int4(count)
  }
}

const codeOf = (expected: ExpectedVersion): number => (expected === 'any' ? -1 : expected === 'exists' ? -2 : expected)

/** Leaves results as the text that PostgreSQL sent: pg's own array parser is slower than all the rest of an answer. */
export const AS_TEXT: CustomTypesConfig = { getTypeParser: () => (value: unknown) => value }

/** Row of `annals_append` in row mode `array`, with {@link AS_TEXT}. */
export function readBatchAnswer(row: string[]): BatchAnswer {
  const [createdAt, status, currentVersion, firstVersion, firstPosition] = row
  return {
    createdAt: createdAt as string,
    status: readInts(status as string),
    currentVersion: readInts(currentVersion as string),
    firstVersion: readInts(firstVersion as string),
    firstPosition: readInts(firstPosition as string),
  }
}

// A plain number where one event was appended by itself.
const readInts = (text: string): number[] =>
  text.charCodeAt(0) === 0x7b ? text.slice(1, -1).split(',').map(Number) : [Number(text)]
