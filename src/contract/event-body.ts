// From a parsed event to what is stored. Written by hand rather than compiled from the schema: the rules go across
// members, and this is the hottest validation there is.

import type { PreparedEvent, StreamAppend } from '../db/event-log.ts'
import type { RawJson } from '../json/parse.ts'
import { isEventId, newEventId } from './event-id.ts'
import {
  checkContentType,
  type Members,
  readArray,
  readBase64,
  readMembers,
  readStored,
  readStreamId,
} from './members.ts'
import type { Report } from './report.ts'
import { isName } from './stream-id.ts'

export interface AppendLimits {
  maxEvents: number
  maxEventBytes: number
  maxMetadataBytes: number
}

const EVENT_MEMBERS = new Set(['id', 'type', 'data', 'data_base64', 'content_type', 'metadata'])
const IMPORT_MEMBERS = new Set([...EVENT_MEMBERS, 'stream_id', 'version', 'position', 'created_at'])

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

/** Reads the events of one stream. `ids` are those that came before; theirs are added, as one may come once. */
export function readEvents(
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
