// Where a body begins and ends: lengths, chunks, what is cut off, what comes behind. And header fields.

import {
  badType,
  type Case,
  CHUNKED,
  created,
  get,
  head,
  invalid,
  JSON_TYPE,
  malformed,
  ONE_EVENT,
  ok,
  post,
  tooLarge,
} from './case.ts'

const SIZE = ONE_EVENT.length
const HEX = SIZE.toString(16)
const APPEND = 'POST /streams/$NEW/events HTTP/1.1'
const LIVE = '/health/live'

const withLength = (length: string, body = ONE_EVENT) =>
  head(APPEND, `${JSON_TYPE}Content-Length: ${length}\r\n`) + body
const chunked = (body: string, headers = CHUNKED) => head(APPEND, `${JSON_TYPE}${headers}`) + body
const coded = (coding: string) => chunked(`${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`, `Transfer-Encoding: ${coding}\r\n`)
const withHost = (headers: string) => `GET ${LIVE} HTTP/1.1\r\n${headers}\r\n`

const LENGTHS: Case[] = [
  ['a length with blanks around it', created, withLength(` ${SIZE} `)],
  ['a length with a plus', malformed, withLength(`+${SIZE}`)],
  ['a negative length', malformed, withLength(`-${SIZE}`)],
  ['a length with a point', malformed, withLength(`${SIZE}.0`)],
  ['a length in hex', malformed, withLength(`0x${HEX}`)],
  ['a length with a power', malformed, withLength('1e1')],
  ['a length in quotes', malformed, withLength(`"${SIZE}"`)],
  ['an empty length', malformed, withLength('')],
  ['a length that is no number', malformed, withLength('abc')],
  ['a length with a tail', malformed, withLength(`${SIZE}a`)],
  ['a list of lengths', malformed, withLength(`${SIZE}, ${SIZE}`)],
  ['a length in other digits', malformed, withLength('\xef\xbc\x94')],
  ['a length beyond 64 bits', malformed, withLength('18446744073709551617')],
  ['a length beyond 2^53', tooLarge, withLength('9007199254740993')],
  ['a length over the limit', tooLarge, withLength('5242881')],
  [
    'two different lengths',
    malformed,
    head(APPEND, `${JSON_TYPE}Content-Length: ${SIZE}\r\nContent-Length: 3\r\n`) + ONE_EVENT,
  ],
  [
    'the same length twice',
    malformed,
    head(APPEND, `${JSON_TYPE}Content-Length: ${SIZE}\r\nContent-Length: ${SIZE}\r\n`) + ONE_EVENT,
  ],
  [
    'a length and chunks',
    malformed,
    chunked(`${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`, `Content-Length: ${SIZE}\r\n${CHUNKED}`),
  ],
  [
    'chunks and a length',
    malformed,
    chunked(`${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`, `${CHUNKED}Content-Length: ${SIZE}\r\n`),
  ],
  ['a body without a length', malformed, head(APPEND, JSON_TYPE) + ONE_EVENT],
  ['a length of 0', malformed, withLength('0', '')],
  ['a length that is too short', malformed, withLength(String(SIZE - 1))],
  ['a body that is cut off', malformed, withLength(String(SIZE + 5)), { isCutOff: true }],
  ['a head that is cut off', malformed, `${APPEND}\r\nHost: $HOST\r\nContent-Le`, { isCutOff: true }],
  ['a GET with a body', malformed, head('GET /events HTTP/1.1', 'Content-Length: 2\r\n') + '{}'],
  ['a GET with a length of 0', ok, head('GET /events HTTP/1.1', 'Content-Length: 0\r\n')],
  ['a GET with chunks', malformed, `${head('GET /events HTTP/1.1', CHUNKED)}0\r\n\r\n`],
  ['a HEAD with a body', [400, null], head('HEAD /events HTTP/1.1', 'Content-Length: 2\r\n') + '{}'],
]

const CHUNKS: Case[] = [
  ['one chunk', created, chunked(`${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  [
    'one byte a chunk',
    created,
    chunked(
      `${ONE_EVENT.split('')
        .map((byte) => `1\r\n${byte}\r\n`)
        .join('')}0\r\n\r\n`,
    ),
  ],
  [
    'chunks that arrive apart',
    created,
    [chunked(`${HEX}\r\n${ONE_EVENT.slice(0, 9)}`), ONE_EVENT.slice(9), '\r\n0\r', '\n\r\n'],
  ],
  ['a chunk with an extension', created, chunked(`${HEX};a=b\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['a size with zeros before it', created, chunked(`000${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['a precondition in a trailer is none', created, chunked(`${HEX}\r\n${ONE_EVENT}\r\n0\r\nIf-Match: "99"\r\n\r\n`)],
  ['an extension of 17,000 bytes', tooLarge, chunked(`${HEX};${'a'.repeat(17_000)}\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  [
    'a trailer of 17,000 bytes',
    [431, 'headers_too_large'],
    chunked(`${HEX}\r\n${ONE_EVENT}\r\n0\r\nX: ${'a'.repeat(17_000)}\r\n\r\n`),
  ],
  ['a trailer that is none', malformed, chunked(`${HEX}\r\n${ONE_EVENT}\r\n0\r\nno trailer\r\n\r\n`)],
  ['no chunk', malformed, chunked('0\r\n\r\n')],
  ['a size in C notation', malformed, chunked(`0x${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['a size with a plus', malformed, chunked(`+${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['a negative size', malformed, chunked(`-1\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['a blank before a size', malformed, chunked(` ${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['a blank after a size', malformed, chunked(`${HEX} \r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['an empty size', malformed, chunked(`\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['a size beyond 64 bits', malformed, chunked(`FFFFFFFFFFFFFFFFF\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['a size that is no number', malformed, chunked('zz\r\n{}\r\n')],
  ['line feeds alone', malformed, chunked(`${HEX}\n${ONE_EVENT}\n0\n\n`)],
  ['no line end after a chunk', malformed, chunked(`${HEX}\r\n${ONE_EVENT}0\r\n\r\n`)],
  ['a chunk that is longer than its size', malformed, chunked(`2\r\n${ONE_EVENT}\r\n0\r\n\r\n`)],
  ['a chunk that is cut off', malformed, chunked(`${HEX}\r\n${ONE_EVENT.slice(0, 5)}`), { isCutOff: true }],
  ['no last chunk', malformed, chunked(`${HEX}\r\n${ONE_EVENT}\r\n`), { isCutOff: true }],
  ['chunks over the limit', tooLarge, chunked(`500001\r\n${' '.repeat(0x500001)}\r\n0\r\n\r\n`)],
  [
    'chunks by HTTP/1.0',
    malformed,
    `${head('POST /streams/$NEW/events HTTP/1.0', `${JSON_TYPE}${CHUNKED}`)}${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`,
  ],
  ['the coding in capitals', created, coded('CHUNKED')],
  ['the coding twice', malformed, coded('chunked, chunked')],
  ['two headers of the coding', malformed, chunked(`${HEX}\r\n${ONE_EVENT}\r\n0\r\n\r\n`, CHUNKED + CHUNKED)],
  ['the coding with a comma', malformed, coded('chunked,')],
  ['the coding with a parameter', malformed, coded('chunked;q=1')],
  ['the coding in quotes', malformed, coded('"chunked"')],
  ['a coding that ends in chunked', malformed, coded('xchunked')],
  ['the coding with a vertical tab', malformed, coded('chunked\x0b')],
  ['gzip before chunked', malformed, coded('gzip, chunked')],
  ['gzip after chunked', malformed, coded('chunked, gzip')],
  ['gzip alone', malformed, coded('gzip')],
  ['the identity coding', malformed, coded('identity')],
  ['an empty coding', malformed, coded('')],
]

const HEADERS: Case[] = [
  ['a field without a value', ok, get(LIVE, 'X:\r\n')],
  ['bytes above ASCII in a field', ok, get(LIVE, 'X: \xff\xfe\r\n')],
  ['a field without a name', malformed, get(LIVE, ': x\r\n')],
  ['a field without a colon', malformed, get(LIVE, 'X\r\n')],
  ['a blank in a name', malformed, get(LIVE, 'X y: 1\r\n')],
  ['a blank before a colon', malformed, get(LIVE, 'X : 1\r\n')],
  ['a bracket in a name', malformed, get(LIVE, 'X(: 1\r\n')],
  ['bytes above ASCII in a name', malformed, get(LIVE, 'X\xff: 1\r\n')],
  ['CR in a field', malformed, get(LIVE, 'X: a\rb\r\n')],
  ['a line feed in a field', malformed, get(LIVE, 'X: a\nY: b\r\n')],
  ['NUL in a field', malformed, get(LIVE, 'X: a\x00b\r\n')],
  ['a control character in a field', malformed, get(LIVE, 'X: a\x01b\r\n')],
  ['DEL in a field', malformed, get(LIVE, 'X: \x7f\r\n')],
  ['a folded field', malformed, get(LIVE, 'X: a\r\n b\r\n')],
  ['a field folded by a tab', malformed, get(LIVE, 'X: a\r\n\tb\r\n')],
  ['a blank before the first field', malformed, `GET ${LIVE} HTTP/1.1\r\n X: 1\r\nHost: $HOST\r\n\r\n`],
  ['headers of 20,000 bytes', [431, 'headers_too_large'], get(LIVE, `X: ${'a'.repeat(20_000)}\r\n`)],
  ['many headers of 20,000 bytes', [431, 'headers_too_large'], get(LIVE, 'Xxxxxxxx: aaaaaaaa\r\n'.repeat(1_500))],
  [
    'a precondition behind 2,500 headers',
    [412, 'version_conflict'],
    post('/streams/$STREAM/events', ONE_EVENT, `${JSON_TYPE}${'a:\r\n'.repeat(2_500)}If-Match: "9"\r\n`),
  ],
  ['a second Host behind 2,500 headers', malformed, get(LIVE, `${'a:\r\n'.repeat(2_500)}Host: b\r\n`)],
  [
    'a content type behind 3,000 headers',
    created,
    post('/streams/$NEW/events', ONE_EVENT, `${'a:\r\n'.repeat(3_000)}${JSON_TYPE}`),
  ],
  [
    'a content type that is not taken, behind 3,000 headers',
    badType,
    post('/streams/$NEW/events', ONE_EVENT, `${'a:\r\n'.repeat(3_000)}Content-Type: text/plain\r\n`),
  ],
  [
    'a content type behind more headers than are read',
    [431, 'headers_too_large'],
    post('/streams/$NEW/events', ONE_EVENT, `${'abcd:e\r\n'.repeat(4_000)}${JSON_TYPE}`),
  ],
  ['no Host', malformed, withHost('')],
  ['no Host and an absolute target', malformed, `GET http://localhost${LIVE} HTTP/1.1\r\n\r\n`],
  ['two Hosts', malformed, withHost('Host: $HOST\r\nHost: $HOST\r\n')],
  ['a Host with a blank', malformed, withHost('Host: a b\r\n')],
  ['a Host with a path', malformed, withHost('Host: localhost/x\r\n')],
  ['a Host with a user', malformed, withHost('Host: a@localhost\r\n')],
  ['a Host that is a URL', malformed, withHost('Host: http://localhost\r\n')],
  ['a Host with a port that is none', malformed, withHost('Host: localhost:x\r\n')],
  ['a Host with half a bracket', malformed, withHost('Host: [::1\r\n')],
  ['a Host with bytes above ASCII', malformed, withHost('Host: \xe4\r\n')],
  ['an unknown expectation', [417, 'expectation_failed'], post('/events', '{}', `${JSON_TYPE}Expect: 200-ok\r\n`)],
  ['an expectation of 100', created, post('/streams/$NEW/events', ONE_EVENT, `${JSON_TYPE}Expect: 100-continue\r\n`)],
  [
    'an expectation of 100, and too much',
    tooLarge,
    withLength('5242881', '').replace('\r\n', '\r\nExpect: 100-continue\r\n'),
  ],
  ['an upgrade to WebSocket', ok, get(LIVE, 'Connection: upgrade\r\nUpgrade: websocket\r\n')],
  [
    'an upgrade to HTTP/2',
    ok,
    get(LIVE, 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'),
  ],
  ['a method in a header', ok, get('/health', 'X-HTTP-Method-Override: DELETE\r\n')],
  ['a path in a header', ok, get(LIVE, 'X-Original-URL: /pool\r\nX-Rewrite-URL: /pool\r\n')],
  ['a request id that is none', ok, get(LIVE, 'X-Request-Id: <script>\r\n')],
  ['two request ids', ok, get(LIVE, 'X-Request-Id: a\r\nX-Request-Id: b\r\n')],
  ['a request id of 8,000 letters', ok, get(LIVE, `X-Request-Id: ${'a'.repeat(8_000)}\r\n`)],
  [
    'a head that arrives byte by byte',
    ok,
    [...(`GET ${LIVE} HTTP/1.1\r\nHost: $HOST\r\n\r\n`.match(/\$HOST|[^]/g) ?? [])],
  ],
  ['garbage behind a request', ok, `${get(LIVE)}GARBAGE\r\n\r\n`],
  [
    'a request behind a refused one',
    invalid,
    `${head('POST /events HTTP/1.1', `${JSON_TYPE}Content-Length: 2\r\n`)}{}${post('/streams/$NEW/events', ONE_EVENT).replace('POST', 'FOO')}`,
  ],
]

export const FRAMING: Case[] = [...LENGTHS, ...CHUNKS, ...HEADERS]
