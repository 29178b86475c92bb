// A page of events as the body of an answer.

import type { PageText } from '../db/event-log.ts'

export const hasEvents = ({ count }: PageText): boolean => count > 0

/** The events of a page, which have commas after them, as a JSON array between `before` and `after`. */
export function eventArray(before: string, { bytes }: PageText, after: string): Buffer {
  return Buffer.concat([Buffer.from(before), bytes.subarray(0, -1), Buffer.from(after)])
}
