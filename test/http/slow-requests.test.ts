// Requests that arrive slowly on purpose, to hold a connection for ever, and heads that are larger than any honest one.

import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { sendRaw, startTestApp } from '../support/app.ts'
import { until } from '../support/service.ts'

const HOST = 'Host: localhost\r\n'
const GIVE_UP_MS = 20_000

interface Outcome {
  text: string
  /** The other side ended the connection. */
  isClosed: boolean
}

/** Sends `start`, then one more piece of `drip` every 100 ms until the other side has enough. */
async function trickle(port: number, start: string, drip: string): Promise<Outcome> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  let isClosed = false
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    isClosed = true
  })
  socket.write(start)
  const deadlineAt = performance.now() + GIVE_UP_MS
  while (!isClosed && performance.now() < deadlineAt) {
    await sleep(100)
    if (socket.writable) socket.write(drip)
  }
  socket.destroy()
  return { text, isClosed }
}

const problemOf = ({ text }: Outcome): { code?: string; outcome?: string } =>
  JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4) || '{}')

t.test('a request that trickles in is cut off with 408, wherever it is', async (t) => {
  const { port, lifecycle, close } = await startTestApp({ parts: { arrival: { headersMs: 600, requestMs: 1_200 } } })
  t.teardown(close)
  const post = `POST /events HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n`
  const slow: [title: string, start: string, drip: string][] = [
    ['in its first line', 'GET /', 'a'],
    ['in a header', `GET /livez HTTP/1.1\r\n${HOST}X-Slow: `, 'a'],
    ['between headers', `GET /livez HTTP/1.1\r\n${HOST}`, 'X-Slow: a\r\n'],
    ['in a body of known length', `${post}Content-Length: 100000\r\n\r\n{`, ' '],
    ['in a chunk', `${post}Transfer-Encoding: chunked\r\n\r\nffff\r\n{`, ' '],
    ['between chunks', `${post}Transfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n'],
  ]
  await Promise.all(
    slow.map(async ([title, start, drip]) => {
      const outcome = await trickle(port, start, drip)
      t.match(outcome.text, /^HTTP\/1\.1 408 Request Timeout\r\n/, title)
      t.match(outcome.text, /\r\ncontent-type: application\/problem\+json\r\n/, title)
      t.match(problemOf(outcome), { code: 'request_timeout', outcome: 'not_applied' }, title)
      t.equal(outcome.isClosed, true, `${title}: and the connection is closed`)
    }),
  )
  const late = await sendRaw(port, `${post}Content-Length: 2\r\n\r\n`, 5_000)
  t.match(late, { status: 408, problem: { code: 'request_timeout' } }, 'a body that never comes')
  await until(() => lifecycle.inFlight === 0)
  t.equal((await sendRaw(port, `GET /livez HTTP/1.1\r\n${HOST}\r\n`)).status, 200)
})

t.test('a connection on which nothing is sent is closed', async (t) => {
  const { port, close } = await startTestApp({ parts: { arrival: { headersMs: 600, requestMs: 1_200 } } })
  t.teardown(close)
  const silent = await trickle(port, '', '')
  t.equal(silent.isClosed, true)
})

t.test('two hundred that trickle do not keep anybody else waiting', async (t) => {
  const { port, close } = await startTestApp()
  t.teardown(close)
  const sockets = Array.from({ length: 200 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (const socket of sockets) socket.write(`POST /events HTTP/1.1\r\n${HOST}Content-Length: 9\r\nX-`)
  const drip = setInterval(() => {
    for (const socket of sockets) socket.write('a')
  }, 50)
  t.teardown(() => clearInterval(drip))
  for (let i = 0; i < 20; i++) {
    t.equal((await sendRaw(port, `GET /events HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`)).status, 200)
  }
})

t.test('a head may have 16 KiB, in one header or in a thousand', async (t) => {
  const { port, close } = await startTestApp()
  t.teardown(close)
  const ask = (headers: string) => sendRaw(port, `GET /livez HTTP/1.1\r\n${HOST}${headers}\r\n`)
  const small = (count: number) => Array.from({ length: count }, (_, i) => `X-${i}: a\r\n`).join('')
  const large = (bytes: number) => `X-Large: ${'a'.repeat(bytes)}\r\n`
  t.equal((await ask(large(16_000))).status, 200)
  t.equal((await ask(small(1_500))).status, 200)
  t.match(await ask(large(17_000)), { status: 431, problem: { code: 'headers_too_large' } })
  t.match(await ask(small(3_000)), { status: 431, problem: { code: 'headers_too_large' } })
  t.match(await ask(large(5_000_000)), { status: 431, problem: { code: 'headers_too_large' } })
  const last = await ask(`${small(1_200)}Accept: text/csv\r\n`)
  t.equal(last.status, 200, 'what stands behind a thousand headers is read too')
  const metrics = await sendRaw(port, `GET /metrics HTTP/1.1\r\n${HOST}${small(1_200)}Accept: text/csv\r\n\r\n`)
  t.equal(metrics.status, 406)
})
