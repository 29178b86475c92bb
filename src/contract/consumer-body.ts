// From the parsed body of a consumer to what is stored.

import type { ConsumerRequest } from '../db/consumers/consumer-store.ts'
import type { FeedFilter } from '../db/event-log.ts'
import { RawJson } from '../json/parse.ts'
import { readMembers } from './members.ts'
import { Report } from './report.ts'
import { isName } from './stream-id.ts'
import { readTime } from './time-text.ts'

const MEMBERS = new Set(['filter', 'start', 'partitions', 'lease_seconds', 'max_attempts'])
const FILTER_MEMBERS = new Set(['types', 'stream_prefix', 'since', 'until', 'metadata'])
const MAX_TYPES = 100
const MAX_METADATA = 20

/**
 * Reads the body of `PUT /consumers/{name}`.
 * @throws AppError `validation_failed`
 */
export function readConsumerBody(body: unknown): ConsumerRequest {
  const report = new Report()
  const members = readMembers(body, '', MEMBERS, report) ?? {}
  const number = (name: string, least: number, most: number): number | undefined => {
    const value = members[name]
    if (value === undefined || isWhole(value, least, most)) return value as number | undefined
    report.violation(`/${name}`, `integer_from_${least}_to_${most}`)
    return undefined
  }
  const { start } = members
  if (start !== undefined && start !== 'head' && !isWhole(start, 0, Number.MAX_SAFE_INTEGER)) {
    report.violation('/start', 'integer_from_0_or_head')
  }
  const partitions = number('partitions', 1, 64)
  const request: ConsumerRequest = {
    filter: readFilter(members['filter'], report),
    leaseSeconds: number('lease_seconds', 1, 3_600) ?? 30,
    maxAttempts: number('max_attempts', 1, 100) ?? 5,
    ...(start !== undefined && { start: start as number | 'head' }),
    ...(partitions !== undefined && { partitions }),
  }
  report.done()
  return request
}

function readFilter(value: unknown, report: Report): FeedFilter {
  const members = value === undefined ? {} : (readMembers(value, '/filter', FILTER_MEMBERS, report) ?? {})
  const { types, stream_prefix: streamPrefix, since, until, metadata } = members
  if (types !== undefined) checkTypes(types, report)
  if (
    streamPrefix !== undefined &&
    streamPrefix !== '' &&
    !(typeof streamPrefix === 'string' && isName(streamPrefix))
  ) {
    report.violation('/filter/stream_prefix', 'text_of_at_most_255_bytes')
  }
  const texts = metadata === undefined ? {} : readTexts(metadata, report)
  return {
    ...(types !== undefined && { types: types as string[] }),
    ...(streamPrefix !== undefined && streamPrefix !== '' && { streamPrefix: streamPrefix as string }),
    ...(since !== undefined && { since: readTimeOf('since', since, report) }),
    ...(until !== undefined && { until: readTimeOf('until', until, report) }),
    ...(Object.keys(texts).length > 0 && { metadata: texts }),
  }
}

function checkTypes(types: unknown, report: Report): void {
  if (!Array.isArray(types) || types.length === 0 || types.length > MAX_TYPES) {
    return report.violation('/filter/types', `array_of_1_to_${MAX_TYPES}`)
  }
  for (const [i, type] of types.entries()) {
    if (typeof type !== 'string' || !isName(type)) report.violation(`/filter/types/${i}`, 'type')
  }
}

function readTimeOf(name: string, value: unknown, report: Report): string {
  const time = typeof value === 'string' ? readTime(value) : undefined
  if (time === undefined) report.violation(`/filter/${name}`, 'rfc_3339')
  return time ?? ''
}

// Members of this name are left as bytes by the parser, because elsewhere they are stored as they came.
function readTexts(value: unknown, report: Report): Record<string, string> {
  const pointer = '/filter/metadata'
  if (value instanceof RawJson) {
    const violations = value.violations(pointer)
    for (const { pointer: place, rule } of violations) report.violation(place, rule)
    if (violations.length > 0) return {}
  }
  const texts: unknown = value instanceof RawJson ? JSON.parse(value.toString()) : value
  if (typeof texts !== 'object' || texts === null || Array.isArray(texts)) {
    report.violation(pointer, 'object')
    return {}
  }
  if (Object.keys(texts).length > MAX_METADATA) report.violation(pointer, `at_most_${MAX_METADATA}`)
  for (const [key, text] of Object.entries(texts)) {
    if (typeof text !== 'string')
      report.violation(`${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, 'string')
  }
  return texts as Record<string, string>
}

const isWhole = (value: unknown, least: number, most: number): boolean =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most
