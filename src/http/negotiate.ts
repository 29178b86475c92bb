import type { FastifyReply } from 'fastify'
import { AppError } from '../errors.ts'

/** Says that the answer depends on a request header, beside those named already. */
export function varyBy(reply: FastifyReply, header: string): void {
  const known = reply.getHeader('vary')
  reply.header('vary', known === undefined ? header : `${known as string}, ${header}`)
}

interface Range {
  type: string
  subtype: string
  quality: number
}

// type/subtype with parameters of which only q counts; more than three decimals are no quality.
const RANGE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\/([!#$%&'*+.^_`|~0-9A-Za-z-]+)((?:[ \t]*;[^;]*)*)$/
const QUALITY = /^[ \t]*q[ \t]*=[ \t]*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)[ \t]*$/i

/**
 * The media type of `offers` (lower case, best first) that `accept` likes most; on a tie the earlier offer.
 * No `Accept`, or an empty one, likes everything.
 * @throws AppError `not_acceptable` with the member `offered`
 */
export function negotiate<Offer extends string>(
  accept: string | undefined,
  offers: readonly [Offer, ...Offer[]],
): Offer {
  if (accept === undefined || accept === '*/*' || accept.trim() === '') return offers[0]
  const ranges = accept.split(',').flatMap(readRange)
  let best: Offer | undefined
  let bestQuality = 0
  for (const offer of offers) {
    const quality = qualityOf(offer, ranges)
    if (quality > bestQuality) {
      best = offer
      bestQuality = quality
    }
  }
  if (best !== undefined) return best
  throw new AppError('not_acceptable', `This route answers with ${offers.join(', ')}.`, {
    members: { offered: offers },
  })
}

// The most specific range decides, whatever its place (RFC 9110, 12.5.1).
function qualityOf(offer: string, ranges: Range[]): number {
  const [type, subtype] = offer.split('/')
  let quality = 0
  let specificity = -1
  for (const range of ranges) {
    const matches =
      (range.type === type && (range.subtype === subtype || range.subtype === '*')) ||
      (range.type === '*' && range.subtype === '*')
    const rank = range.subtype !== '*' ? 2 : range.type !== '*' ? 1 : 0
    if (matches && rank > specificity) {
      specificity = rank
      quality = range.quality
    }
  }
  return quality
}

// A range that can't be read names no type: it is passed over, and if nothing is left the answer is 406.
function readRange(text: string): Range[] {
  const [, type, subtype, parameters] = RANGE.exec(text.trim()) ?? []
  if (type === undefined || subtype === undefined) return []
  let quality = 1
  for (const parameter of (parameters ?? '').split(';').slice(1)) {
    if (!/^[ \t]*q[ \t]*=/i.test(parameter)) continue
    const [, digits] = QUALITY.exec(parameter) ?? []
    if (digits === undefined) return []
    quality = Number(digits)
  }
  return [{ type: type.toLowerCase(), subtype: subtype.toLowerCase(), quality }]
}
