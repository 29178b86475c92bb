// From the parsed body of an append to what the store is asked: which events, to which streams, under which conditions.

import type { ExpectedVersion, PreparedEvent, StreamAppend, StreamCheck } from '../db/event-log.ts'
import { type AppendLimits, readEvents } from './event-body.ts'
import { isMembers, readArray, readMembers, readStreamId } from './members.ts'
import { Report } from './report.ts'

export interface AppendBody {
  /** Undefined when the body does not say. */
  expectedVersion: ExpectedVersion | undefined
  events: PreparedEvent[]
}

export interface MultiAppendBody {
  /** In order; an error stands where a part of a request that is not atomic can't be read. */
  appends: (StreamAppend | Report)[]
  checks: StreamCheck[]
  isAtomic: boolean
}

const MAX_APPENDS = 100
const MAX_CHECKS = 100
const APPEND_MEMBERS = new Set(['expected_version', 'events'])
const MULTI_MEMBERS = new Set(['appends', 'checks', 'atomic'])
const STREAM_APPEND_MEMBERS = new Set(['stream_id', 'expected_version', 'events'])
const CHECK_MEMBERS = new Set(['stream_id', 'expected_version'])

/**
 * Reads the body of `POST /streams/{stream_id}/events`.
 * @throws AppError `validation_failed`, `payload_too_large`, `unstorable_value`
 */
export function readAppendBody(body: unknown, limits: AppendLimits): AppendBody {
  const report = new Report()
  const members = readMembers(body, '', APPEND_MEMBERS, report)
  const read = {
    expectedVersion: readExpectedVersion(members?.['expected_version'], '/expected_version', report),
    events: members === undefined ? [] : readEvents(members['events'], '/events', limits, new Set(), report),
  }
  report.done()
  return read
}

/**
 * Reads the body of `POST /events`.
 * @throws AppError `validation_failed`, `stream_id_invalid`, `payload_too_large`, `unstorable_value`; when it is not
 * atomic, only for what concerns it as a whole
 */
export function readMultiAppendBody(body: unknown, limits: AppendLimits): MultiAppendBody {
  const report = new Report()
  const members = readMembers(body, '', MULTI_MEMBERS, report) ?? {}
  const { atomic: isAtomic = true } = members
  if (typeof isAtomic !== 'boolean') report.violation('/atomic', 'boolean')
  const checks = readChecks(members['checks'], report)
  if (isAtomic === false && members['checks'] !== undefined) report.violation('/checks', 'not_with_atomic_false')
  const items = readArray(members['appends'], '/appends', 1, MAX_APPENDS, report)
  const events = items.reduce<number>((sum, item) => sum + eventCount(item), 0)
  if (events > limits.maxEvents) report.violation('/appends', `at_most_${limits.maxEvents}_events`)
  refuseRepeatedStreams(items, report)
  // An id may be used once in the whole request when it is atomic, else once in each append.
  const ids = new Set<string>()
  const appends = items.map((item, i) => {
    const own = isAtomic === false ? new Report() : report
    const append = readStreamAppend(item, `/appends/${i}`, limits, isAtomic === false ? new Set() : ids, own)
    return own !== report && own.error() !== undefined ? own : append
  })
  report.done()
  return { appends, checks, isAtomic: isAtomic as boolean }
}

function readStreamAppend(
  item: unknown,
  pointer: string,
  limits: AppendLimits,
  ids: Set<string>,
  report: Report,
): StreamAppend {
  const members = readMembers(item, pointer, STREAM_APPEND_MEMBERS, report) ?? {}
  return {
    streamId: readStreamId(members['stream_id'], `${pointer}/stream_id`, report),
    expectedVersion: readExpectedVersion(members['expected_version'], `${pointer}/expected_version`, report) ?? 'any',
    events: readEvents(members['events'], `${pointer}/events`, limits, ids, report),
  }
}

function readChecks(value: unknown, report: Report): StreamCheck[] {
  if (value === undefined) return []
  return readArray(value, '/checks', 0, MAX_CHECKS, report).map((item, i) => {
    const members = readMembers(item, `/checks/${i}`, CHECK_MEMBERS, report) ?? {}
    if (members['expected_version'] === undefined) report.violation(`/checks/${i}/expected_version`, 'required')
    return {
      streamId: readStreamId(members['stream_id'], `/checks/${i}/stream_id`, report),
      expectedVersion:
        readExpectedVersion(members['expected_version'], `/checks/${i}/expected_version`, report) ?? 'any',
    }
  })
}

function refuseRepeatedStreams(items: unknown[], report: Report): void {
  const seen = new Set<unknown>()
  items.forEach((item, i) => {
    const streamId = isMembers(item) ? item['stream_id'] : undefined
    if (streamId !== undefined && seen.has(streamId)) report.violation(`/appends/${i}/stream_id`, 'stream_repeated')
    seen.add(streamId)
  })
}

const eventCount = (item: unknown): number =>
  isMembers(item) && Array.isArray(item['events']) ? item['events'].length : 0

function readExpectedVersion(value: unknown, pointer: string, report: Report): ExpectedVersion | undefined {
  if (value === undefined || value === 'any' || value === 'exists') return value
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  report.violation(pointer, 'version_or_any_or_exists')
  return undefined
}
