// Members of a parsed body, read one by one: each is what it has to be, or the report hears of it.

import { RawJson } from '../json/parse.ts'
import { escapeStep } from '../json/pointer.ts'
import type { Report } from './report.ts'
import { isStreamId } from './stream-id.ts'

const MAX_CONTENT_TYPE_BYTES = 255
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
// RFC 9110 media type: type/subtype and parameters, visible ASCII.
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[ \t]*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[ !#-[\]-~]*"))*$/
const JSON_TYPE = /^application\/json$|^application\/json[ \t]*;|^[^;]*\/[^;]*\+json[ \t]*(?:;|$)/i

export type Members = Record<string, unknown>

const NULL_JSON = Buffer.from('null')

/** Whether a parsed value is a JSON object; arrays, null and data that was kept as text are none. */
export const isMembers = (value: unknown): value is Members =>
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

/** An array of `min` to `max` items; empty when it is none, or too long. */
export function readArray(value: unknown, pointer: string, min: number, max: number, report: Report): unknown[] {
  if (!Array.isArray(value)) {
    report.violation(pointer, value === undefined ? 'required' : 'array')
    return []
  }
  if (value.length < min || value.length > max) report.violation(pointer, `${min}_to_${max}_items`)
  return value.length > max ? [] : value
}

/** A stream id; empty when it is none. */
export function readStreamId(value: unknown, pointer: string, report: Report): string {
  if (typeof value !== 'string') {
    report.violation(pointer, value === undefined ? 'required' : 'string')
    return ''
  }
  if (!isStreamId(value)) report.streamId(pointer)
  return value
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
