// From the parsed body of an append to what is stored. Written by hand rather than compiled from the schema: the rules
// go across members, and this is the hottest validation there is.

import type { ExpectedVersion, PreparedEvent, StreamAppend, StreamCheck } from '../db/event-log.ts'
import { RawJson } from '../json/parse.ts'
import { escapeStep } from '../json/pointer.ts'
import { isEventId, newEventId } from './event-id.ts'
import { Report } from './report.ts'
import { isName, isStreamId } from './stream-id.ts'

export interface AppendLimits {
  maxEvents: number
  maxEventBytes: number
  maxMetadataBytes: number
}

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
const MAX_CONTENT_TYPE_BYTES = 255
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
// RFC 9110 media type: type/subtype and parameters, visible ASCII.
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[ \t]*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[ !#-[\]-~]*"))*$/
const JSON_TYPE = /^application\/json$|^application\/json[ \t]*;|^[^;]*\/[^;]*\+json[ \t]*(?:;|$)/i

type Members = Record<string, unknown>

const APPEND_MEMBERS = new Set(['expected_version', 'events'])
const EVENT_MEMBERS = new Set(['id', 'type', 'data', 'data_base64', 'content_type', 'metadata'])
const MULTI_MEMBERS = new Set(['appends', 'checks', 'atomic'])
const STREAM_APPEND_MEMBERS = new Set(['stream_id', 'expected_version', 'events'])
const IMPORT_MEMBERS = new Set([...EVENT_MEMBERS, 'stream_id', 'version', 'position', 'created_at'])
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

/** Reads one exported event: its version, when it has one, is the one it must get. */
export function readImportedEvent(value: unknown, pointer: string, limits: AppendLimits, report: Report): StreamAppend {
  const members = readMembers(value, pointer, IMPORT_MEMBERS, report) ?? {}
  const { version } = members
  const isVersion = typeof version === 'number' && Number.isSafeInteger(version) && version > 0
  if (version !== undefined && !isVersion) report.violation(`${pointer}/version`, 'integer_from_1')
  return {
    streamId: readStreamId(members['stream_id'], `${pointer}/stream_id`, report),
    expectedVersion: isVersion ? version - 1 : 'any',
    events: [readEventMembers(members, pointer, limits, new Set(), report)],
  }
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

const isMembers = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof RawJson)

/** The members of an object; the report hears of unknown ones, and of a value that is no object. */
export function readMembers(value: unknown, pointer: string, known: Set<string>, report: Report): Members | undefined {
  if (!isMembers(value)) {
    report.violation(pointer, 'object')
    return undefined
  }
  for (const name in value) if (!known.has(name)) report.violation(`${pointer}/${escapeStep(name)}`, 'unknown_member')
  return value
}

function readArray(value: unknown, pointer: string, min: number, max: number, report: Report): unknown[] {
  if (!Array.isArray(value)) {
    report.violation(pointer, value === undefined ? 'required' : 'array')
    return []
  }
  if (value.length < min || value.length > max) report.violation(pointer, `${min}_to_${max}_items`)
  return value.length > max ? [] : value
}

function readStreamId(value: unknown, pointer: string, report: Report): string {
  if (typeof value !== 'string') {
    report.violation(pointer, value === undefined ? 'required' : 'string')
    return ''
  }
  if (!isStreamId(value)) report.streamId(pointer)
  return value
}

function readExpectedVersion(value: unknown, pointer: string, report: Report): ExpectedVersion | undefined {
  if (value === undefined || value === 'any' || value === 'exists') return value
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  report.violation(pointer, 'version_or_any_or_exists')
  return undefined
}

function readEvents(
  value: unknown,
  pointer: string,
  limits: AppendLimits,
  ids: Set<string>,
  report: Report,
): PreparedEvent[] {
  const items = readArray(value, pointer, 1, limits.maxEvents, report)
  const events: PreparedEvent[] = []
  for (let i = 0; i < items.length; i++) {
    events.push(readEvent(items[i], `${pointer}/${i}`, limits, ids, report))
  }
  return events
}

function readEvent(
  value: unknown,
  pointer: string,
  limits: AppendLimits,
  ids: Set<string>,
  report: Report,
): PreparedEvent {
  return readEventMembers(readMembers(value, pointer, EVENT_MEMBERS, report) ?? {}, pointer, limits, ids, report)
}

function readEventMembers(
  members: Members,
  pointer: string,
  limits: AppendLimits,
  ids: Set<string>,
  report: Report,
): PreparedEvent {
  const { type } = members
  if (typeof type !== 'string') report.violation(`${pointer}/type`, type === undefined ? 'required' : 'string')
  else if (!isName(type)) report.violation(`${pointer}/type`, 'event_type')
  const hasClientId = members['id'] !== undefined
  return {
    id: hasClientId ? readId(members['id'], `${pointer}/id`, ids, report) : newEventId(),
    hasClientId,
    type: type as string,
    ...readData(members, pointer, limits, report),
    metadata: readMetadata(members['metadata'], `${pointer}/metadata`, limits, report),
  }
}

function readId(value: unknown, pointer: string, ids: Set<string>, report: Report): string {
  if (typeof value !== 'string' || !isEventId(value)) report.violation(pointer, 'lower_case_uuid')
  else if (ids.has(value)) report.violation(pointer, 'id_repeated')
  else ids.add(value)
  return value as string
}

const NULL_JSON = Buffer.from('null')

function readData(
  members: Members,
  pointer: string,
  limits: AppendLimits,
  report: Report,
): Pick<PreparedEvent, 'data' | 'isJson' | 'contentType'> {
  const { data, data_base64: base64, content_type: contentType } = members
  const isJson = base64 === undefined
  if (!isJson && data !== undefined) report.violation(pointer, 'data_or_data_base64')
  if (contentType !== undefined) checkContentType(contentType, isJson, `${pointer}/content_type`, report)
  const usual = isJson ? 'application/json' : 'application/octet-stream'
  const bytes = isJson
    ? readStored(data as RawJson | undefined, `${pointer}/data`, report)
    : readBase64(base64, `${pointer}/data_base64`, report)
  if (bytes.length > limits.maxEventBytes) {
    report.tooLarge(`${pointer}/${isJson ? 'data' : 'data_base64'}`, limits.maxEventBytes)
  }
  return { data: bytes, isJson, contentType: contentType === usual ? null : ((contentType as string) ?? null) }
}

/** The bytes of a value that is stored as it came; what can't be stored, and duplicate keys, go to the report. */
export function readStored(value: RawJson | undefined, pointer: string, report: Report): Buffer {
  if (value === undefined) return NULL_JSON
  if (value.findings !== undefined) {
    for (const violation of value.violations(pointer)) {
      if (violation.rule === 'duplicate_key') report.violation(violation.pointer, violation.rule)
      else report.unstorable.push(violation)
    }
  }
  return value.bytes()
}

/** Canonical base64 (RFC 4648 section 4, padded, no spare bits) as bytes. */
export function readBase64(value: unknown, pointer: string, report: Report): Buffer {
  if (typeof value === 'string' && BASE64.test(value)) {
    const bytes = Buffer.from(value, 'base64')
    if (bytes.toString('base64') === value) return bytes
  }
  report.violation(pointer, 'base64')
  return NULL_JSON
}

/** A media type of at most 255 bytes; for JSON data a JSON one. */
export function checkContentType(value: unknown, isJson: boolean, pointer: string, report: Report): void {
  if (typeof value !== 'string' || value.length > MAX_CONTENT_TYPE_BYTES || !MEDIA_TYPE.test(value)) {
    report.violation(pointer, 'media_type')
  } else if (isJson && !JSON_TYPE.test(value)) {
    report.violation(pointer, 'json_media_type')
  }
}

function readMetadata(value: unknown, pointer: string, limits: AppendLimits, report: Report): Buffer | null {
  const metadata = value as RawJson | undefined
  if (metadata === undefined || metadata.isNull) return null
  if (metadata.firstByte !== 0x7b) {
    report.violation(pointer, 'object_or_null')
    return null
  }
  // As it comes back: a few kilobytes of `1e300` would otherwise be megabytes in every page that has the event.
  if (metadata.writtenOutLength > limits.maxMetadataBytes) report.tooLarge(pointer, limits.maxMetadataBytes)
  return readStored(metadata, pointer, report)
}
