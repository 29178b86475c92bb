// A page of events as the body of an answer.

import type { PageText } from '../db/event-log.ts'

/** Whether the page holds at least one event. */
export const hasEvents = ({ count }: PageText): boolean => count > 0

/** The events of a page, which have commas after them, as a JSON array between `before` and `after`. */
export function eventArray(before: string, { json }: PageText, after: string): string | Buffer {
  if (typeof json === 'string') return before + json.slice(0, -1) + after
  return Buffer.concat([Buffer.from(before), json.subarray(0, -1), Buffer.from(after)])
}
