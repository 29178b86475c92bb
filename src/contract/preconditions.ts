// Expected versions by header: If-Match and If-None-Match as RFC 9110 has them, with versions as strong tags.

import type { ExpectedVersion } from '../db/event-log.ts'
import { type AppError, type RuleViolation, validationFailed } from '../errors.ts'

const VERSION_TAG = /^"(0|[1-9]\d{0,15})"$/

/**
 * The expected version that the headers ask for, or undefined.
 * @throws AppError `validation_failed` for a weak or unquoted tag, and for headers that contradict each other
 */
export function expectedVersionByHeader(headers: {
  'if-match'?: string | undefined
  'if-none-match'?: string | undefined
}): ExpectedVersion | undefined {
  const ifMatch = headers['if-match']
  const ifNoneMatch = headers['if-none-match']
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined
  const violations: RuleViolation[] = []
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    violations.push({ pointer: 'header/if-none-match', rule: 'not_with_if_match' })
  }
  if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== '*') {
    violations.push({ pointer: 'header/if-none-match', rule: 'only_asterisk' })
  }
  const version = ifMatch === undefined ? 0 : readTag(ifMatch.trim())
  if (version === undefined) violations.push({ pointer: 'header/if-match', rule: 'strong_version_tag_or_asterisk' })
  if (violations.length > 0 || version === undefined) throw validationFailed(violations)
  return version
}

/** Where no header is a condition, one that asks for it must not be passed over: what it was to prevent would happen. */
export function refuseConditions(headers: Record<string, unknown>): AppError | undefined {
  const violations = ['if-match', 'if-none-match']
    .filter((name) => headers[name] !== undefined)
    .map((name) => ({ pointer: `header/${name}`, rule: 'not_on_this_route' }))
  return violations.length === 0 ? undefined : validationFailed(violations)
}

function readTag(text: string): ExpectedVersion | undefined {
  if (text === '*') return 'exists'
  const digits = VERSION_TAG.exec(text)?.[1]
  return digits !== undefined && Number.isSafeInteger(Number(digits)) ? Number(digits) : undefined
}

/** Whether `If-None-Match` of a read names the version: `*`, or a list with its tag, weak or strong. */
export function isNotModified(ifNoneMatch: string | undefined, version: number): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${version}"`)
}
