// From the parsed body of a snapshot to what is stored; its state follows the rules of an event's data.

import type { PreparedSnapshot } from '../db/snapshots/snapshot-store.ts'
import type { RawJson } from '../json/parse.ts'
import { checkContentType, readBase64, readMembers, readStored } from './members.ts'
import { Report } from './report.ts'

const MEMBERS = new Set(['version', 'state', 'state_base64', 'content_type'])

/**
 * Reads the body of `PUT /streams/{stream_id}/snapshot`; the state may have `maxStateBytes`.
 * @throws AppError `validation_failed`, `payload_too_large`, `unstorable_value`
 */
export function readSnapshotBody(body: unknown, streamId: string, maxStateBytes: number): PreparedSnapshot {
  const report = new Report()
  const members = readMembers(body, '', MEMBERS, report) ?? {}
  const { version, state, state_base64: base64, content_type: contentType } = members
  const isJson = base64 === undefined
  if (version === undefined) report.violation('/version', 'required')
  else if (!isVersion(version)) report.violation('/version', 'integer_from_1')
  if (isJson === (state === undefined)) report.violation('', 'state_or_state_base64')
  if (contentType !== undefined) checkContentType(contentType, isJson, '/content_type', report)
  const data = isJson
    ? readStored(state as RawJson | undefined, '/state', report)
    : readBase64(base64, '/state_base64', report)
  if (data.length > maxStateBytes) report.tooLarge(isJson ? '/state' : '/state_base64', maxStateBytes)
  report.done()
  const usual = isJson ? 'application/json' : 'application/octet-stream'
  return {
    streamId,
    version: version as number,
    data,
    isJson,
    contentType: contentType === usual ? null : ((contentType as string | undefined) ?? null),
  }
}

const isVersion = (value: unknown): boolean => typeof value === 'number' && Number.isSafeInteger(value) && value > 0
