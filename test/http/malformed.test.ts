// Requests as bytes, because no client would send most of them. Each has one exact answer.

import t from 'tap'
import { sendRaw, startTestApp } from '../support/app.ts'

const HOST = 'Host: localhost\r\n'
const JSON_TYPE = 'Content-Type: application/json\r\n'
const LONG = 'a'.repeat(20_000)

type Case = [title: string, status: number, code: string | null, chunks: string | string[]]

const get = (target: string, headers = HOST) => `GET ${target} HTTP/1.1\r\n${headers}\r\n`
const post = (headers: string, body = '{}') => `POST /events HTTP/1.1\r\n${HOST}${headers}\r\n${body}`

const CASES: Case[] = [
  ['a request without Host', 400, 'malformed_request', get('/health/live', '')],
  ['HTTP/1.0 without Host', 200, null, 'GET /health/live HTTP/1.0\r\n\r\n'],
  ['two Hosts', 400, 'malformed_request', get('/health/live', `${HOST}${HOST}`)],
  ['a Host that is no host', 400, 'malformed_request', get('/health/live', 'Host: a b\r\n')],
  ['another Host on an open loopback', 403, 'forbidden', get('/health/live', 'Host: evil.example\r\n')],
  ['an unknown expectation', 417, 'expectation_failed', post(`${JSON_TYPE}Expect: 200-ok\r\nContent-Length: 2\r\n`)],
  ['headers over 16 KiB', 431, 'headers_too_large', get('/health/live', `${HOST}X-Long: ${LONG}\r\n`)],
  ['a request line over 16 KiB', 414, 'uri_too_long', get(`/${LONG}`)],
  ['HTTP/3.0', 505, 'http_version_not_supported', `GET / HTTP/3.0\r\n${HOST}\r\n`],
  ['HTTP/2.0', 505, 'http_version_not_supported', `GET /health/live HTTP/2.0\r\n${HOST}\r\n`],
  ['the preface of HTTP/2', 505, 'http_version_not_supported', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a TLS handshake', 400, 'malformed_request', '\x16\x03\x01\x02\x00\x01\x00'],
  ['an unknown method', 400, 'malformed_request', `FOO / HTTP/1.1\r\n${HOST}\r\n`],
  ['line ends without CR', 400, 'malformed_request', 'GET /health/live HTTP/1.1\nHost: localhost\n\n'],
  ['a folded header', 400, 'malformed_request', get('/health/live', `${HOST}X: a\r\n b\r\n`)],
  ['white space before a colon', 400, 'malformed_request', get('/health/live', 'Host : localhost\r\n')],
  ['a control character in a header', 400, 'malformed_request', get('/health/live', `${HOST}X: a\x01b\r\n`)],
  ['NUL in the path', 400, 'malformed_request', get('/health\x00')],
  ['bytes above ASCII in the path', 400, 'malformed_request', get('/streams/\xc3\xa4/events')],
  ['a target without a slash', 400, 'malformed_request', get('health')],
  ['two lengths', 400, 'malformed_request', post(`${JSON_TYPE}Content-Length: 2\r\nContent-Length: 3\r\n`)],
  ['the same length twice', 400, 'malformed_request', post(`${JSON_TYPE}Content-Length: 2\r\nContent-Length: 2\r\n`)],
  ['a negative length', 400, 'malformed_request', post(`${JSON_TYPE}Content-Length: -2\r\n`)],
  [
    'a length and chunks',
    400,
    'malformed_request',
    post(`${JSON_TYPE}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n`),
  ],
  [
    'a coding that is not chunked',
    400,
    'malformed_request',
    post(`${JSON_TYPE}Transfer-Encoding: gzip, chunked\r\n`, '0\r\n\r\n'),
  ],
  ['the identity coding', 400, 'malformed_request', post(`${JSON_TYPE}Transfer-Encoding: identity\r\n`)],
  ['garbage for a chunk', 400, 'malformed_request', post(`${JSON_TYPE}Transfer-Encoding: chunked\r\n`, 'zz\r\n{}\r\n')],
  [
    'garbage after a good chunk',
    400,
    'malformed_request',
    [post(`${JSON_TYPE}Transfer-Encoding: chunked\r\n`, '2\r\n{}\r\n'), 'zz\r\n'],
  ],
  [
    'two content types',
    400,
    'malformed_request',
    post(`${JSON_TYPE}Content-Type: text/plain\r\nContent-Length: 2\r\n`),
  ],
  ['percent-encoding that is none', 400, 'malformed_request', get('/nowhere/%zz')],
  ['the same in a stream id', 400, 'stream_id_invalid', get('/streams/%zz/events')],
  ['invalid UTF-8 in a stream id', 400, 'stream_id_invalid', get('/streams/%ff/events')],
  ['overlong UTF-8 in a stream id', 400, 'stream_id_invalid', get('/streams/%c0%af')],
  ['a surrogate in a stream id', 400, 'stream_id_invalid', get('/streams/%ed%a0%80/events')],
  ['NUL in a stream id', 400, 'stream_id_invalid', get('/streams/%00/events')],
  ['a stream id of two dots', 400, 'stream_id_invalid', get('/streams/../events')],
  ['an encoded dot as a stream id', 400, 'stream_id_invalid', get('/streams/%2e/events')],
  ['no stream id', 400, 'stream_id_invalid', get('/streams//events')],
  ['a stream id of 256 bytes', 400, 'stream_id_invalid', get(`/streams/${'a'.repeat(256)}/events`)],
  ['a stream id of 10,000 bytes', 400, 'stream_id_invalid', get(`/streams/${LONG.slice(0, 10_000)}/events`)],
  ['a stream id of 255 bytes', 404, 'stream_not_found', get(`/streams/${'%61'.repeat(255)}/events`)],
  ['an absolute target', 200, null, get('http://localhost/health/live')],
  ['OPTIONS for the whole server', 204, null, `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
  ['CONNECT', 405, 'method_not_allowed', `CONNECT localhost:80 HTTP/1.1\r\n${HOST}\r\n`],
  ['an upgrade to WebSocket', 200, null, get('/health/live', `${HOST}Connection: upgrade\r\nUpgrade: websocket\r\n`)],
  ['PROPFIND on a known path', 405, 'method_not_allowed', `PROPFIND /events HTTP/1.1\r\n${HOST}\r\n`],
  ['QUERY on a known path', 405, 'method_not_allowed', `QUERY /events HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\n{}`],
  [
    'PATCH with a broken body on an unknown path',
    404,
    'route_not_found',
    `PATCH /x HTTP/1.1\r\n${HOST}${JSON_TYPE}Content-Length: 1\r\n\r\n{`,
  ],
  ['a GET with a body', 400, 'malformed_request', get('/events', `${HOST}Content-Length: 2\r\n`)],
  ['a POST without a body', 400, 'malformed_request', post(JSON_TYPE, '')],
  ['a POST with an empty body', 400, 'malformed_request', post(`${JSON_TYPE}Content-Length: 0\r\n`, '')],
]

/** Members that every problem has. */
const STANDARD = ['code', 'detail', 'outcome', 'request_id', 'retryable', 'status', 'title', 'type']

t.test('every request that is not well-formed gets its one answer', async (t) => {
  const { port, close } = await startTestApp()
  t.teardown(close)
  await Promise.all(
    CASES.map(async ([title, status, code, chunks]) => {
      const answer = await sendRaw(port, chunks)
      t.equal(answer.status, status, title)
      if (code === null) return
      t.match(answer.problem, { status, code, outcome: 'not_applied' }, title)
      t.same(
        STANDARD.filter((member) => !(member in answer.problem)),
        [],
        `${title}: all members`,
      )
      t.equal(answer.problem['request_id'], answer.headers['x-request-id'], `${title}: the request id`)
      t.equal(answer.headers['cache-control'], 'no-store', title)
      t.equal(answer.headers['content-type'], 'application/problem+json', title)
    }),
  )
  const alive = await sendRaw(port, get('/health/live'))
  t.equal(alive.status, 200, 'and the service is as it was')
})

t.test('only JSON in UTF-8 is taken, however the content type is written', async (t) => {
  const { port, close } = await startTestApp()
  t.teardown(close)
  const taken = [
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'application/json ; charset="utf-8"',
    'application/json\t',
  ]
  const refused = [
    '',
    'undefined',
    'text/plain',
    'text/plain; a=application/json',
    'application/json\t;a',
    'application/json;',
    'application/json,',
    'application/json, text/plain',
    'application/json; charset=utf-16',
    'application/json; charset=utf-8; x=y',
    'application/json; x="charset=utf-8"',
    'application/jsonx',
    'application /json',
    'application/ json',
    'application/json a',
    'application/x-www-form-urlencoded',
    'application/x-ndjson',
    'multipart/form-data; boundary=x',
  ]
  const send = (headers: string) => sendRaw(port, post(`${headers}Content-Length: 2\r\n`))
  await Promise.all([
    ...taken.map(async (type) => {
      const { problem } = await send(`Content-Type: ${type}\r\n`)
      t.equal(problem['code'], 'validation_failed', `${JSON.stringify(type)} is read`)
    }),
    ...[
      '',
      ...refused.map((type) => `Content-Type: ${type}\r\n`),
      `${JSON_TYPE}Content-Encoding: gzip\r\n`,
      `${JSON_TYPE}Content-Encoding: identity\r\n`,
    ].map(async (headers) => {
      const { problem } = await send(headers)
      t.match(problem, { status: 415, code: 'unsupported_media_type' }, JSON.stringify(headers))
    }),
  ])
})

t.test('what comes behind a good request is answered after it', async (t) => {
  const { port, close } = await startTestApp()
  t.teardown(close)
  const { text } = await sendRaw(port, `${get('/health/live')}GARBAGE\r\n\r\n`)
  t.same(text.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 400'])
  const pipelined = await sendRaw(port, `${get('/health/live')}${get('/nowhere')}${get('/livez')}`)
  t.same(pipelined.text.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200'])
})

t.test('the answer to a body that is too large arrives', async (t) => {
  const { port, url, close } = await startTestApp()
  t.teardown(close)
  const limit = 5 * 1024 * 1024
  const tooLarge = Buffer.alloc(limit + 1, ' ')

  const declared = await fetch(`${url}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: tooLarge,
  })
  t.equal(declared.status, 413, 'when its length is declared')
  t.match(await declared.json(), { code: 'payload_too_large', limit_bytes: limit })

  const chunked = await fetch(`${url}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: new Blob([tooLarge, tooLarge, tooLarge]).stream(),
    duplex: 'half',
  } as RequestInit)
  t.equal(chunked.status, 413, 'when it comes in chunks')
  t.match(await chunked.json(), { code: 'payload_too_large', limit_bytes: limit })

  const just = await fetch(`${url}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: tooLarge.subarray(1),
  })
  t.match(await just.json(), { code: 'malformed_request' }, 'and at the limit it is read')

  const expecting = await sendRaw(
    port,
    `POST /events HTTP/1.1\r\n${HOST}${JSON_TYPE}Expect: 100-continue\r\nContent-Length: ${limit + 1}\r\n\r\n`,
  )
  t.equal(expecting.status, 413, 'before the client was told to send it')
  const welcome = await sendRaw(port, [
    `POST /events HTTP/1.1\r\n${HOST}${JSON_TYPE}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
    '{}',
  ])
  t.same(welcome.text.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 100', 'HTTP/1.1 400'])
})
