// What routes that read have in common: what they can fail with, the sizes of their pages, the parameters of their queries,
// and the link to the page after.

import { type TString, Type } from '@sinclair/typebox'

/** What every read can fail with. */
export const READ_PROBLEMS = [
  'validation_failed',
  'pool_exhausted',
  'busy',
  'timeout',
  'database_unavailable',
  'database_misconfigured',
] as const

export const MAX_PAGE_EVENTS = 1_000
/** A page of JSON is built in memory, so its size is bounded as well as its length. */
export const MAX_PAGE_BYTES = 16 * 1024 * 1024
/** Pages of a stream of lines: large enough to be fast, small enough that a slow reader costs little. */
export const LINE_PAGE_BYTES = 1024 * 1024
/** Between two pages the database waits for the next statement, so fewer and longer ones are faster (docs/decisions/0013). */
export const LINE_PAGE_EVENTS = 1_500

export const limitParameter = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: MAX_PAGE_EVENTS,
    description: 'Most events of one page; 100 when absent. As lines (`application/x-ndjson`) there is no limit then.',
  }),
)
export const DEFAULT_LIMIT = 100

export const directionParameter = Type.Optional(
  Type.Union([Type.Literal('forward'), Type.Literal('backward')], { description: '`forward` when absent.' }),
)

const name: TString = Type.String({ minLength: 1, maxLength: 255 })
export const typeParameter = Type.Optional(
  Type.Array(name, { maxItems: 100, description: 'Only events of this type; repeatable.' }),
)

/** An optional whole number of the query, `minimum` or more. */
export const numberParameter = (description: string, minimum = 0) =>
  Type.Optional(Type.Integer({ minimum, description }))

/** A path with its query; undefined values are left out, arrays repeat. */
export function pageLink(path: string, query: Record<string, string | number | string[] | undefined>): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    for (const each of Array.isArray(value) ? value : [value]) search.append(name, String(each))
  }
  const text = search.toString()
  return text === '' ? path : `${path}?${text}`
}
