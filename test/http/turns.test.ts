// Requests that arrive by the hundreds at once: mostly on a bare server, and pipelined, so that one write brings them all.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import type { EventLog } from '../../src/db/event-log.ts'
import { AppError } from '../../src/errors.ts'
import { drain } from '../../src/http/listen.ts'
import { arrivalOf, isSurplus, Turns, wasRefused } from '../../src/http/turns.ts'
import { startTestApp } from '../support/app.ts'
import { until } from '../support/service.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

async function listen(t: Test, handle: Handler): Promise<{ port: number; turns: Turns }> {
  const server = createServer(handle)
  const turns = new Turns(server, ({ url }) => url === '/probe')
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, turns }
}

async function open(t: Test, port: number): Promise<Socket & { answers(): number; text(): string }> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (part) => {
    text += part
  })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return Object.assign(socket, { answers: () => text.split('HTTP/1.1 ').length - 1, text: () => text })
}

const get = (url: string) => `GET ${url} HTTP/1.1\r\nHost: a\r\n\r\n`
const post = (url: string) => `POST ${url} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`
const busy = (ms: number) => {
  for (const endAt = performance.now() + ms; performance.now() < endAt; );
}

t.test('a few requests at once do not wait, and of hundreds each is taken up once, in order', async (t) => {
  const seen: string[] = []
  let waited = 0
  const { port } = await listen(t, (request, response) => {
    seen.push(request.url as string)
    if (arrivalOf(response) !== undefined) waited++
    response.end()
  })
  const socket = await open(t, port)
  const urls = Array.from({ length: 1_000 }, (_, i) => `/${i}`)
  socket.write(urls.slice(0, 100).map(get).join(''))
  await until(() => socket.answers() === 100)
  t.equal(waited, 0)
  socket.write(urls.slice(100).map(get).join(''))
  await until(() => socket.answers() === 1_000)
  t.same(seen, urls)
  t.ok(waited > 0, `${waited} waited`)
})

t.test('a probe does not wait for the hundreds before it', async (t) => {
  const seen: string[] = []
  const { port } = await listen(t, (request, response) => {
    seen.push(request.url as string)
    busy(0.2)
    response.end()
  })
  const [crowd, probe] = [await open(t, port), await open(t, port)]
  crowd.write(get('/').repeat(1_500))
  await until(() => seen.length > 0)
  probe.write(get('/probe'))
  await until(() => crowd.answers() === 1_500 && probe.answers() === 1)
  t.ok(seen.indexOf('/probe') < 1_400, `it was number ${seen.indexOf('/probe')}`)
})

t.test('who would wait too long to store something is surplus; a read never is', async (t) => {
  const surplus = { GET: 0, POST: 0 }
  let taken = 0
  const { port } = await listen(t, (request, response) => {
    taken++
    if (isSurplus(response)) surplus[request.method as 'GET' | 'POST']++
    else busy(2)
    response.end()
  })
  const [reader, writer] = [await open(t, port), await open(t, port)]
  reader.write(get('/').repeat(1_200))
  // The first rounds show what one takes.
  await until(() => taken > 300)
  writer.write(post('/').repeat(200))
  reader.write(get('/').repeat(100))
  await until(() => reader.answers() === 1_300 && writer.answers() === 200, 30_000)
  t.ok(surplus.POST > 0, `${surplus.POST} were refused`)
  t.equal(surplus.GET, 0)
  t.equal(taken, 1_500)
})

t.test('who was refused and asks again at once is heard a second later, others at once', async (t) => {
  const at: Record<string, number> = {}
  const { port } = await listen(t, (request, response) => {
    at[request.url as string] = performance.now()
    if (request.url === '/refused') wasRefused(response)
    response.end()
  })
  const [one, other] = [await open(t, port), await open(t, port)]
  one.write(post('/refused'))
  await until(() => one.answers() === 1)
  one.write(post('/again'))
  other.write(post('/other'))
  await until(() => one.answers() === 2 && other.answers() === 1)
  const refusedAt = at['/refused'] as number
  t.ok((at['/again'] as number) - refusedAt > 990, 'it had to wait')
  t.ok((at['/other'] as number) < (at['/again'] as number))
})

t.test('who left before the turn came is not asked what for', async (t) => {
  let taken = 0
  const { port } = await listen(t, (_, response) => {
    taken++
    busy(0.2)
    response.end()
  })
  const socket = await open(t, port)
  socket.write(post('/').repeat(1_000))
  await until(() => taken > 0)
  socket.destroy()
  const other = await open(t, port)
  other.write(get('/'))
  await until(() => other.answers() === 1)
  t.ok(taken < 1_000, `${taken} were taken up`)
})

t.test('at the end all who wait are taken up at once, and nobody waits any more', async (t) => {
  let taken = 0
  let takenByEnd = 0
  let waited = 0
  const { port, turns } = await listen(t, (_, response) => {
    taken++
    if (arrivalOf(response) !== undefined) waited++
    response.end()
    // In the second round.
    if (taken !== 300) return
    turns.end()
    takenByEnd = taken - 300
  })
  const socket = await open(t, port)
  socket.write(get('/').repeat(1_000))
  await until(() => socket.answers() === 1_000)
  t.ok(takenByEnd > 300, `${takenByEnd} were taken up`)
  waited = 0
  socket.write(get('/').repeat(1_000))
  await until(() => socket.answers() === 2_000)
  t.equal(waited, 0)
})

t.test('who waits because of a refusal when the service drains is answered, and nothing of it is done', async (t) => {
  let tried = 0
  const log = {
    append: () => {
      tried++
      return Promise.reject(new AppError('overloaded', 'Too many events are waiting.'))
    },
  } as unknown as EventLog
  const { app, lifecycle, port, close } = await startTestApp({ parts: { log } })
  t.teardown(close)
  const body = '{"events":[{"type":"Happened"}]}'
  const append = `POST /streams/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const socket = await open(t, port)
  socket.write(append)
  await until(() => socket.answers() === 1)
  const held = once(app.server, 'request')
  socket.write(append)
  await held
  await drain(app, lifecycle, { delayMs: 0, timeoutMs: 10_000 })
  await until(() => socket.destroyed)
  t.equal(socket.answers(), 2)
  t.match(socket.text(), /"code":"overloaded"[^]*503 Service Unavailable[^]*"code":"shutting_down"/)
  t.equal(tried, 1)
})
