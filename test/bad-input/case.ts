// How a case of the corpus is written: a request as the bytes that go over the wire, and its one right answer.

/** The exact status, and the code of the problem; null where the answer is none, or has no body (HEAD). */
export type Answer = [status: number, code: string | null]

/**
 * A request is latin1 text, so that any byte can be written. In it stand for what differs from run to run:
 * `$AUTH` the header with the admin token · `$READ`, `$APPEND`, `$METRICS` tokens of one scope · `$HOST` ·
 * `$STREAM` a stream of three events · `$EVENT1` to `$EVENT3` their ids · `$NEW` a stream without any · `$ID` a new
 * event id · `$CONSUMER` a consumer · `$LENGTH` the bytes after the head.
 */
export type Case = [name: string, answer: Answer, request: string | string[], options?: CaseOptions]

export interface CaseOptions {
  /** Our side is closed after the request, as by a client that gave up. */
  isCutOff?: true
  /** Only with tokens: an open loopback has nobody to refuse. */
  needsTokens?: true
}

export const malformed: Answer = [400, 'malformed_request']
export const invalid: Answer = [400, 'validation_failed']
export const badStream: Answer = [400, 'stream_id_invalid']
export const unstorable: Answer = [422, 'unstorable_value']
export const tooLarge: Answer = [413, 'payload_too_large']
export const badType: Answer = [415, 'unsupported_media_type']
export const reused: Answer = [422, 'event_id_reused']
export const conflict: Answer = [409, 'version_conflict']
export const ok: Answer = [200, null]
export const created: Answer = [201, null]

export const JSON_TYPE = 'Content-Type: application/json\r\n'
export const LINES_TYPE = 'Content-Type: application/x-ndjson\r\n'
export const CHUNKED = 'Transfer-Encoding: chunked\r\n'

/** A head with `line` as its first line, and nothing behind it. */
export const head = (line: string, headers = ''): string => `${line}\r\nHost: $HOST\r\n$AUTH${headers}\r\n`

export const get = (target: string, headers = ''): string => head(`GET ${target} HTTP/1.1`, headers)

/** A request with a body; text is sent as UTF-8, a Buffer as it is. */
export const send = (method: string, target: string, body: string | Buffer, headers = JSON_TYPE): string =>
  head(`${method} ${target} HTTP/1.1`, `${headers}Content-Length: $LENGTH\r\n`) + Buffer.from(body).toString('latin1')

export const post = (target: string, body: string | Buffer, headers = JSON_TYPE): string =>
  send('POST', target, body, headers)

export const put = (target: string, body: string | Buffer, headers = ''): string =>
  send('PUT', target, body, JSON_TYPE + headers)

/** An append of one event to a new stream: its data as JSON text, and further members. */
export const appendData = (data: string, members = ''): string =>
  post('/streams/$NEW/events', `{"events":[{"type":"A","data":${data}${members && `,${members}`}}]}`)

/** An append of one event to a new stream; the members of the event beside its type. */
export const appendEvent = (members: string): string =>
  post('/streams/$NEW/events', `{"events":[{"type":"A",${members}}]}`)

export const ONE_EVENT = '{"events":[{"type":"A"}]}'
