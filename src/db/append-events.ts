// The one statement that appends: a batch of requests goes in, an answer per condition comes out.
// What it does inside is in migrations/0005_append.sql.

import type { CustomTypesConfig } from 'pg'
import { BinaryArray } from './binary-array.ts'
import type { AppendRequest, ExpectedVersion } from './event-log.ts'
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

/** The parameters of `annals_append`, in its order. Reused from batch to batch: one batch is in flight at a time. */
export class AppendBatch {
  readonly text: string
  readonly #arrays: Arrays
  readonly #lockTimeoutMs: string

  constructor(schema: string, lockTimeoutMs: number) {
    const parameters = Array.from({ length: Object.keys(TYPES).length + 2 }, (_, i) => `$${i + 1}`)
    this.text = `SELECT * FROM ${quoteIdentifier(schema)}.annals_append(${parameters.join(',')})`
    this.#lockTimeoutMs = String(lockTimeoutMs)
    this.#arrays = Object.fromEntries(
      Object.entries(TYPES).map(([name, type]) => [name, new BinaryArray(type)]),
    ) as Arrays
  }

  /**
   * Encodes the requests. `lookUpAll` also looks up the ids that were made here: needed when the same batch may have
   * been applied already.
   */
  encode(requests: AppendRequest[], lookUpAll: boolean): unknown[] {
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
    return [this.#lockTimeoutMs, String(largestBytes), ...Object.values(arrays).map((array) => array.finish())]
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
    arrays.expected.int8(expected === 'any' ? -1 : expected === 'exists' ? -2 : expected)
    arrays.eventCount.int4(count)
  }
}

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

const readInts = (text: string): number[] => text.slice(1, -1).split(',').map(Number)
