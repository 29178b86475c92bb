import { AppError } from '../errors.ts'

const MAX_BYTES = 255
// Control characters C0, DEL and C1.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/** 1 to 255 bytes of UTF-8 without control characters or lone surrogates: the rule for stream ids and event types. */
export const isName = (text: string): boolean =>
  text.length > 0 &&
  text.length <= MAX_BYTES &&
  !CONTROL.test(text) &&
  text.isWellFormed() &&
  (text.length * 3 <= MAX_BYTES || Buffer.byteLength(text) <= MAX_BYTES)

/** A name that is not a dot segment of a path. */
export const isStreamId = (text: string): boolean => isName(text) && text !== '.' && text !== '..'

/**
 * The stream id, or an error.
 * @throws AppError `stream_id_invalid`
 */
export function checkStreamId(text: string): string {
  if (isStreamId(text)) return text
  throw streamIdInvalid()
}

/** 400 `stream_id_invalid`; `pointer` is the place in a body, absent for the id of the path. */
export const streamIdInvalid = (pointer?: string): AppError =>
  new AppError(
    'stream_id_invalid',
    'A stream id has 1 to 255 bytes of UTF-8 without control characters, and is not "." or "..".',
    pointer === undefined ? {} : { members: { errors: [{ pointer, rule: 'stream_id' }] } },
  )

/** 404 `stream_not_found`. */
export const streamNotFound = (): AppError => new AppError('stream_not_found', 'The stream has no event.')
