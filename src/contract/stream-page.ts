// Where the pages of a stream before and after one begin.

import type { PageText, StreamQuery } from '../db/event-log.ts'

/** The version that the next page starts at, or null at the end. */
export function nextVersion(query: StreamQuery, page: PageText): number | null {
  const { last } = page
  if (!page.isFull || last === undefined) return null
  if (query.direction === 'backward') return last > 1 ? last - 1 : null
  return last < page.head ? last + 1 : null
}

/**
 * The page before this one, or null at the beginning. How far back events of a type lie nobody knows here, so with a
 * filter it is what is found the other way, in that order.
 */
export function previousPage(query: StreamQuery, head: number): StreamQuery | null {
  const { limit, types } = query
  const isForward = query.direction === 'forward'
  const from = Math.min(query.fromVersion ?? (isForward ? 1 : head), isForward ? head + 1 : head)
  const left = isForward ? from - 1 : head - from
  if (left <= 0) return null
  const [step, back] = isForward ? [-1, 'backward' as const] : [1, 'forward' as const]
  if (types !== undefined) return { ...query, fromVersion: from + step, direction: back }
  const many = Math.min(limit, left)
  return { ...query, fromVersion: from + step * many, limit: many }
}
