// What is read as a plain request, and that Node's own parser would read the same.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { type PlainHead, readPlainHead } from '../../src/http/plain/read-request.ts'

const everything = () => true
const read = (text: string): PlainHead | undefined => readPlainHead(Buffer.from(text, 'latin1'), everything)
const get = (target: string, headers = 'Host: a\r\n') => `GET ${target} HTTP/1.1\r\n${headers}\r\n`
const post = (headers: string, body = '{}') => `POST /events HTTP/1.1\r\nHost: a\r\n${headers}\r\n${body}`

t.test('a request that can be read in one way only is taken', (t) => {
  const head =
    'POST /streams/a%2Fb/events?x=1&y=a/b? HTTP/1.1\r\nhOST: a:80\r\nX-Odd: a "b"; c\r\ncontent-length: 2\r\n\r\n'
  t.same(read(`${head}{}GET /`), {
    method: 'POST',
    url: '/streams/a%2Fb/events?x=1&y=a/b?',
    headers: { host: 'a:80', 'x-odd': 'a "b"; c', 'content-length': '2' },
    rawHeaders: ['hOST', 'a:80', 'X-Odd', 'a "b"; c', 'content-length', '2'],
    headBytes: head.length,
    bodyBytes: 2,
  })
  t.match(read(get('/streams/a?')), { url: '/streams/a?', bodyBytes: 0 })
  for (const value of ['keep-alive', 'Keep-Alive']) t.ok(read(get('/', `Host: a\r\nConnection: ${value}\r\n`)), value)
  t.match(read(post('Content-Length: 0\r\n', '')), { bodyBytes: 0 })
  t.match(read(post('Content-Length: 999999999\r\n', '')), { bodyBytes: 999_999_999 })
  t.ok(read(get('/', `Host: a\r\nX: ${'a'.repeat(8_000)}\r\n`)), 'almost 8 KiB')
  t.end()
})

t.test('what a plain request leads to is asked with its parts', (t) => {
  const asked: unknown[] = []
  const ask = (...parts: unknown[]) => {
    asked.push(parts)
    return false
  }
  t.equal(readPlainHead(Buffer.from(get('/a/b?c=d', 'Host: a\r\nAccept: text/csv\r\n')), ask), undefined)
  readPlainHead(Buffer.from(get('/a')), ask)
  t.same(asked, [
    ['GET', '/a/b', 'c=d', 'text/csv'],
    ['GET', '/a', '', undefined],
  ])
  t.end()
})

const DOUBTFUL: [title: string, request: string][] = [
  ['another method', 'PUT / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a method in lower case', 'get / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['an empty line first', `\r\n${get('/')}`],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n'],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n'],
  ['HTTP/0.9', 'GET /\r\n'],
  ['an absolute target', get('http://a/')],
  ['an asterisk', get('*')],
  ['an authority', get('a:80')],
  ['a fragment', get('/a#b')],
  ['a fragment in the query', get('/a?b#c')],
  ['a backslash', get('/a\\b')],
  ['a quotation mark in the target', get('/a"b')],
  ['brackets in the query', get('/a?b[]=c')],
  ['a space in the target', get('/a b')],
  ['two spaces before the target', get(' /a')],
  ['a tab for a space', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a control byte in the target', get('/a\x01')],
  ['NUL in the target', get('/a\x00b')],
  ['a byte above ASCII in the target', get('/\xe4')],
  ['no Host', get('/', '')],
  ['no header but an empty Host', get('/', 'Host: \r\n')],
  ['two Hosts', get('/', 'Host: a\r\nHost: a\r\n')],
  ['two headers of one name', get('/', 'Host: a\r\nX: 1\r\nx: 2\r\n')],
  ['two cookies', get('/', 'Host: a\r\nCookie: a=1\r\nCookie: b=2\r\n')],
  ['Set-Cookie, which Node reads as a list', get('/', 'Host: a\r\nSet-Cookie: a=1\r\n')],
  ['the name of what every object has', get('/', 'Host: a\r\nconstructor: 1\r\n')],
  ['__proto__', get('/', 'Host: a\r\n__proto__: 1\r\n')],
  ['a folded header', get('/', 'Host: a\r\nX: 1\r\n 2\r\n')],
  ['a folded first header', get('/', ' X: 1\r\nHost: a\r\n')],
  ['LF alone at the end of the first line', 'GET / HTTP/1.1\nHost: a\r\n\r\n'],
  ['LF alone at the end of a header', 'GET / HTTP/1.1\r\nHost: a\n\r\n'],
  ['LF alone at the end of the head', 'GET / HTTP/1.1\r\nHost: a\r\n\n'],
  ['CR alone at the end of a header', 'GET / HTTP/1.1\r\nHost: a\r\r\n\r\n'],
  ['CR in a value', get('/', 'Host: a\r\nX: 1\r2\r\n')],
  ['a space before the colon', get('/', 'Host : a\r\n')],
  ['no space after the colon', get('/', 'Host:a\r\n')],
  ['two spaces after the colon', get('/', 'Host:  a\r\n')],
  ['a space after the value', get('/', 'Host: a \r\n')],
  ['a tab after the colon', get('/', 'Host:\ta\r\n')],
  ['a tab in a value', get('/', 'Host: a\r\nX: 1\t2\r\n')],
  ['a control byte in a value', get('/', 'Host: a\r\nX: \x01\r\n')],
  ['DEL in a value', get('/', 'Host: a\r\nX: 1\x7f2\r\n')],
  ['a byte above ASCII in a value', get('/', 'Host: a\r\nX: \xe4\r\n')],
  ['a byte above ASCII in a name', get('/', 'Host: a\r\nX\xe4: a\r\n')],
  ['an underscore in a name, which proxies read as a dash', get('/', 'Host: a\r\nContent_Length: 2\r\n')],
  ['a header without a name', get('/', 'Host: a\r\n: a\r\n')],
  ['a header without a colon', get('/', 'Host: a\r\nX\r\n')],
  ['Transfer-Encoding', post('Transfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  ['Transfer-Encoding and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 2\r\n')],
  ['Expect', post('Expect: 100-continue\r\nContent-Length: 2\r\n')],
  ['Upgrade', get('/', 'Host: a\r\nUpgrade: websocket\r\n')],
  ['TE', get('/', 'Host: a\r\nTE: trailers\r\n')],
  ['Trailer', get('/', 'Host: a\r\nTrailer: X\r\n')],
  ['HTTP2-Settings', get('/', 'Host: a\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n')],
  ['Proxy-Connection', get('/', 'Host: a\r\nProxy-Connection: keep-alive\r\n')],
  ['Keep-Alive', get('/', 'Host: a\r\nKeep-Alive: timeout=5\r\n')],
  ...['close', 'Close', 'upgrade', 'keep-alive, close', 'KEEP-ALIVE', 'X-Other', 'keep-alive,'].map(
    (value): [string, string] => [`Connection: ${value}`, get('/', `Host: a\r\nConnection: ${value}\r\n`)],
  ),
  ['a GET with a body', get('/', 'Host: a\r\nContent-Length: 2\r\n')],
  ['a GET with an empty body', get('/', 'Host: a\r\nContent-Length: 0\r\n')],
  ['a POST without a length', post('', '')],
  ['two lengths', post('Content-Length: 2\r\nContent-Length: 2\r\n')],
  ...[
    '+5',
    '-5',
    '05',
    '00',
    '5, 5',
    '5,5',
    '5 5',
    '0x5',
    '5.0',
    '5e0',
    '5;',
    'five',
    '1234567890',
    '9'.repeat(30),
  ].map((value): [string, string] => [`the length ${value}`, post(`Content-Length: ${value}\r\n`, '12345')]),
  ['a head of more than 8 KiB', get('/', `Host: a\r\nX: ${'a'.repeat(8_200)}\r\n`)],
  ['a target of more than 8 KiB', get(`/${'a'.repeat(8_200)}`)],
  ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['nothing', ''],
]

t.test('all that is doubtful is left', (t) => {
  for (const [title, request] of DOUBTFUL) t.equal(read(request), undefined, title)
  t.end()
})

t.test('a head is taken as a whole only, wherever it is cut', (t) => {
  const request = post('X-Request-Id: a\r\nContent-Length: 2\r\n', '')
  for (let end = 0; end < request.length; end++) {
    if (read(request.slice(0, end)) !== undefined) t.fail(`it was taken after ${end} bytes`)
  }
  t.match(read(request), { headBytes: request.length, bodyBytes: 2 })
  t.end()
})

// Pieces of requests, whole and broken, so that what comes out of them is often taken and often almost.
const often = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) })
const targets = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('/', '/events', '/streams/a%2Fb/events?limit=1&type=A', '/a?', '/a;b=c') },
  { weight: 2, arbitrary: fc.stringMatching(/^\/[!-~]{0,20}$/) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 10 }) },
)
const NAMES = [
  ...['Accept', 'Authorization', 'Content-Type', 'Cookie', 'Set-Cookie', 'If-Match', 'User-Agent', 'X-A', 'x-a', 'age'],
  ...['Connection', 'Content-Length', 'Host', 'Expect', 'Transfer-Encoding', 'constructor', 'etag', 'X_A', 'Date'],
]
const values = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'keep-alive', 'a, b', 'W/"1"', '2', 'a=1; b=2', 'application/json') },
  { weight: 2, arbitrary: fc.stringMatching(/^[\t -~]{0,20}$/) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 5 }) },
)
const end = often('\r\n', '\n', '\r', '\r\n ', ' \r\n', '\r\r\n')
const headers = fc.array(
  fc
    .tuple(
      fc.oneof(fc.constantFrom(...NAMES), fc.stringMatching(/^[A-Za-z\d-]{1,12}$/)),
      often(': ', ':', ' : ', ':\t'),
      values,
      end,
    )
    .map((parts) => parts.join('')),
  { maxLength: 4 },
)
const requests = fc
  .tuple(
    often('', '\r\n', ' '),
    fc.constantFrom('GET', 'POST'),
    targets,
    often('HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'http/1.1', ''),
    end,
    often('Host: a\r\n', 'Host:a\r\n', ''),
    headers,
    fc.string({ maxLength: 6 }),
    often('', '1', '+'),
    end,
  )
  .map(([before, method, target, version, lineEnd, host, others, body, sign, headEnd]) => {
    const length = method === 'POST' ? `Content-Length: ${sign}${Buffer.byteLength(body)}\r\n` : ''
    const sent = method === 'POST' ? Buffer.from(body) : ''
    return `${before}${method} ${target} ${version}${lineEnd}${host}${others.join('')}${length}${headEnd}${sent.toString('latin1')}`
  })

t.test('what is taken is what Node reads: method, target, headers and body', async (t) => {
  const seen: { request: IncomingMessage; body: Buffer }[] = []
  const server = createServer({ requireHostHeader: false }, (request, response) => {
    const body: Buffer[] = []
    request.on('data', (chunk: Buffer) => body.push(chunk))
    request.on('end', () => {
      seen.push({ request, body: Buffer.concat(body) })
      response.end()
    })
  })
  server.maxHeadersCount = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo

  const askNode = async (text: string) => {
    seen.length = 0
    const socket = connect(port, '127.0.0.1')
    socket.write(text, 'latin1')
    await once(socket, 'data')
    socket.destroy()
    return seen[0]
  }
  let taken = 0
  await fc.assert(
    fc.asyncProperty(requests, async (text) => {
      const head = read(text)
      if (head === undefined) return
      taken++
      const whole = text.slice(0, head.headBytes + head.bodyBytes)
      // A length that was promised has to come, or Node waits.
      const node = await askNode(whole.padEnd(head.headBytes + head.bodyBytes, ' '))
      const { method, url, headers, rawHeaders } = node?.request ?? {}
      const { headBytes, bodyBytes, ...seenHere } = head
      assert.deepEqual({ method, url, headers, rawHeaders }, seenHere)
      assert.equal(node?.body.length, bodyBytes)
      assert.equal(node.body.toString('latin1').trimEnd(), whole.slice(headBytes).trimEnd())
    }),
    { numRuns: 4_000 },
  )
  t.ok(taken > 300, `${taken} were taken`)
})
