// What every route has in common, whatever it answers.

import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { AppError } from '../../src/errors.ts'
import { buildTestApp, sendRaw, startTestApp } from '../support/app.ts'

const NOT_A_ROUTE = /\/docs|:/

/** Every method and path without parameters. */
async function plainRoutes() {
  const routes: { method: string; url: string }[] = []
  const built = await buildTestApp({
    onRoute: ({ method, url }) => {
      if (typeof method === 'string' && !NOT_A_ROUTE.test(url)) routes.push({ method, url })
    },
  })
  await built.app.ready()
  return { ...built, routes }
}

t.test('every GET answers HEAD with the same headers and no body', async (t) => {
  const { app, routes } = await plainRoutes()
  t.teardown(() => app.close())
  const gets = routes.filter(({ method }) => method === 'GET')
  t.ok(gets.length > 10)
  for (const { url } of gets) {
    const [get, head] = [await app.inject({ method: 'GET', url }), await app.inject({ method: 'HEAD', url })]
    t.equal(head.statusCode, get.statusCode, url)
    t.equal(head.body, '', url)
    for (const name of ['content-type', 'cache-control', 'etag', 'vary', 'retry-after']) {
      t.equal(head.headers[name], get.headers[name], `${url}: ${name}`)
    }
    // The metrics count the first request before they answer the second.
    if (!url.includes('metrics') && !url.startsWith('/health')) {
      t.equal(head.headers['content-length'], get.headers['content-length'], `${url}: content-length`)
    }
  }
})

t.test('HEAD says nothing of a length that GET does not say either', async (t) => {
  const { port, close } = await startTestApp()
  t.teardown(close)
  const head = async (path: string, header: string) =>
    (await sendRaw(port, `HEAD ${path} HTTP/1.1\r\nHost: localhost\r\n${header}\r\nConnection: close\r\n\r\n`, 150))
      .text
  for (const type of ['application/x-ndjson', 'text/event-stream']) {
    const text = await head('/events', `Accept: ${type}`)
    t.match(text, new RegExp(`^HTTP/1.1 200[^]*content-type: ${type}`))
    t.notMatch(text, /content-length/i, type)
    if (type === 'text/event-stream') t.match(text, /cache-control: no-store[^]*x-accel-buffering: no/)
  }
  const body = JSON.stringify({ events: [{ type: 'A' }] })
  const stored = await fetch(`http://127.0.0.1:${port}/streams/x/events`, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body },
  })
  t.equal(stored.status, 201)
  const unchanged = await head('/streams/x/events', 'If-None-Match: *')
  t.match(unchanged, /^HTTP\/1\.1 304/)
  t.notMatch(unchanged, /content-length/i)
})

t.test('HEAD on a socket sends no byte of a body', async (t) => {
  const { port, close } = await startTestApp()
  t.teardown(close)
  for (const path of ['/health/live', '/nowhere', '/streams/x/events', '/metrics', '/docs']) {
    const { text } = await sendRaw(port, `HEAD ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 150)
    t.match(text, /^HTTP\/1\.1 (200|404)[\s\S]*\r\n\r\n$/, path)
  }
})

t.test('every path answers OPTIONS and any other method with what it allows', async (t) => {
  const { app, routes } = await plainRoutes()
  t.teardown(() => app.close())
  for (const url of new Set(routes.map(({ url }) => url))) {
    const known = routes.filter((route) => route.url === url).map(({ method }) => method)
    const order = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']
    const allow = [...order.filter((method) => known.includes(method)), 'OPTIONS'].join(', ')
    const options = await app.inject({ method: 'OPTIONS', url })
    t.match(options, { statusCode: 204, body: '', headers: { allow } }, `OPTIONS ${url}`)
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND'] as const) {
      if (known.includes(method)) continue
      const answer = await app.inject({ method: method as 'GET', url })
      t.match(answer, { statusCode: 405, headers: { allow } }, `${method} ${url}`)
      t.equal(answer.json().code, 'method_not_allowed')
    }
  }
  t.equal((await app.inject({ method: 'OPTIONS', url: '/nowhere' })).statusCode, 404)
  t.equal((await app.inject({ method: 'DELETE', url: '/streams/a%2Fb/events' })).statusCode, 405, 'with parameters too')
})

t.test('a route without a scope stops the start', async (t) => {
  const { app } = await buildTestApp()
  t.teardown(() => app.close())
  t.throws(() => app.get('/extra', () => ''), { message: 'GET /extra declares no scope' })
})

t.test('a sane request id is echoed, any other is replaced', async (t) => {
  const { app } = await buildTestApp()
  t.teardown(() => app.close())
  const idOf = async (id: string, url = '/health/live') =>
    (await app.inject({ method: 'GET', url, headers: { 'x-request-id': id } })).headers['x-request-id']
  for (const id of ['a', 'A-z_0.9', 'x'.repeat(128)]) t.equal(await idOf(id), id)
  for (const id of ['', 'a b', 'x'.repeat(129), 'a"b', 'ä', 'a,b', '<script>']) {
    const made = await idOf(id)
    t.match(made, /^[A-Za-z0-9._-]{1,128}$/, id)
    t.not(made, id)
  }
  t.equal(await idOf('mine', '/nowhere'), 'mine', 'on errors too')
  const ids = await Promise.all(Array.from({ length: 50 }, () => idOf('')))
  t.equal(new Set(ids).size, 50)
})

t.test('query parameters that a route does not have are refused, but not by probes', async (t) => {
  const { app, routes } = await plainRoutes()
  t.teardown(() => app.close())
  for (const { method, url } of routes.filter(({ method }) => method === 'GET')) {
    const answer = await app.inject({ method: 'GET', url: `${url}?nothing=1` })
    const isProbe = /^\/(health|livez|readyz)/.test(url)
    t.equal(answer.statusCode, isProbe ? 200 : 400, `${method} ${url}`)
    if (!isProbe) t.same(answer.json().errors, [{ pointer: 'query/nothing', rule: 'unknown_parameter' }])
  }
})

t.test('headers that cost nothing are on every answer', async (t) => {
  const { app } = await buildTestApp()
  t.teardown(() => app.close())
  for (const [url, cacheControl] of [
    ['/health', 'no-store'],
    ['/readyz', 'no-store'],
    ['/pool', 'no-store'],
    ['/migrations', 'no-store'],
    ['/metrics', 'no-store'],
    ['/nowhere', 'no-store'],
    ['/events', undefined],
    ['/openapi.json', undefined],
  ] as const) {
    const { headers } = await app.inject({ method: 'GET', url })
    t.equal(headers['x-content-type-options'], 'nosniff', url)
    t.equal(headers['cache-control'], cacheControl, url)
  }
})

t.test('an error that nobody expected says nothing, and the log says all', async (t) => {
  const secret = 'relation "secret_table" at 10.0.0.1'
  const { app, lines } = await buildTestApp({
    parts: { health: () => { throw new Error(secret) } }, // biome-ignore format: one line is enough
  })
  t.teardown(() => app.close())
  const answer = await app.inject({ method: 'GET', url: '/health', headers: { 'x-request-id': 'find-me' } })
  t.equal(answer.statusCode, 500)
  t.match(answer.json(), { code: 'internal', request_id: 'find-me', retryable: false })
  t.notMatch(answer.body, /secret|10\.0\.0\.1|stack/)
  const line = JSON.parse(lines.find((each) => each.includes('request failed')) as string)
  t.match(line, { level: 50, request_id: 'find-me', err: { message: secret, stack: /Error/ } })
})

t.test('an error of the catalogue keeps its members and headers', async (t) => {
  const { app } = await buildTestApp({
    parts: {
      health: () => {
        // biome-ignore format: the shape of the error is the point
        throw new AppError('rate_limited', 'Wait.', { members: { limit: 3 }, headers: { 'retry-after': '7' } })
      },
    },
  })
  t.teardown(() => app.close())
  const answer = await app.inject({ method: 'GET', url: '/health' })
  t.match(answer, { statusCode: 429, headers: { 'retry-after': '7' } })
  t.match(answer.json(), { type: 'urn:annals:problem:rate_limited', detail: 'Wait.', limit: 3, retryable: true })
})

t.test('passwords in URLs never reach the log', async (t) => {
  const { app, lines } = await buildTestApp({
    parts: {
      health: () => {
        throw new Error('connect postgres://annals:hunter2@db.example/annals failed')
      },
    },
  })
  t.teardown(() => app.close())
  await app.inject({ method: 'GET', url: '/health' })
  t.ok(lines.length > 0)
  t.notMatch(lines.join(''), /hunter2/)
  t.match(lines.join(''), /annals:\*\*\*@db\.example/)
})

t.test('which requests are logged is a setting', async (t) => {
  const paths: Record<string, string[]> = {}
  const logged = async (mode: 'all' | 'slow' | 'errors' | 'off') => {
    const written: string[] = []
    const { url, close } = await startTestApp({
      parts: {
        requestLog: { mode, slowMs: 2_000, write: (line) => written.push(line) },
        health: () => {
          throw new Error('broken')
        },
        scrape: async () => {
          await sleep(2_100)
          return { contentType: 'text/plain', body: '' }
        },
      },
    })
    for (const path of ['/health/live?secret=1', '/metrics', '/health', '/nowhere']) {
      await (await fetch(url + path, { headers: { 'x-request-id': 'r-1' } })).text()
    }
    await sleep(20)
    await close()
    paths[mode] = written.map((line) => {
      const entry = JSON.parse(line)
      t.match(entry, { msg: 'request', request_id: 'r-1', method: 'GET', duration_ms: Number, time: Number })
      return `${entry.path} ${entry.route} ${entry.status}`
    })
  }
  await Promise.all((['all', 'slow', 'errors', 'off'] as const).map(logged))
  t.same(paths, {
    all: ['/health/live /health/live 200', '/metrics /metrics 200', '/health /health 500', '/nowhere unmatched 404'],
    slow: ['/metrics /metrics 200', '/health /health 500'],
    errors: ['/health /health 500'],
    off: [],
  })
})

t.test('the body of a request is read by the rules of JSON and of the route', async (t) => {
  const { app } = await buildTestApp({
    parts: {
      migrations: {
        migrations: { status: () => Promise.reject(new Error('not asked')), up: async () => [] },
        isHttpEnabled: () => true,
      },
    },
  })
  t.teardown(() => app.close())
  const send = async (payload: string | Buffer | undefined) => {
    const headers = payload === undefined ? {} : { 'content-type': 'application/json' }
    const answer = await app.inject({
      method: 'POST',
      url: '/migrations',
      headers,
      ...(payload === undefined ? {} : { payload }),
    })
    const { code, errors = [] } = answer.json()
    return [
      answer.statusCode,
      code,
      ...errors.map((each: { pointer: string; rule: string }) => `${each.pointer} ${each.rule}`),
    ]
  }
  t.same(await send(undefined), [200, undefined], 'this one may be left out')
  t.same(await send('{}'), [200, undefined])
  t.same(await send(' {"dry_run" : true}\n'), [200, undefined])
  t.same(await send('{"dry_run":"true"}'), [400, 'validation_failed', '/dry_run boolean'])
  t.same(await send('{"dry_run":1}'), [400, 'validation_failed', '/dry_run boolean'])
  t.same(await send('{"dryrun":true}'), [400, 'validation_failed', '/dryrun unknown_member'])
  t.same(await send('{"dry_run":true,"dry_run":true}'), [400, 'validation_failed', '/dry_run duplicate_key'])
  t.same(await send('{"__proto__":{"dry_run":true}}'), [400, 'validation_failed', '/__proto__ forbidden_key'])
  t.same(await send('{"constructor":1}'), [400, 'validation_failed', '/constructor forbidden_key'])
  t.same(await send('null'), [400, 'validation_failed', ' object'])
  t.same(await send('[]'), [400, 'validation_failed', ' object'])
  for (const payload of [
    '{',
    '{"a":1}}',
    '{"a":NaN}',
    "{'a':1}",
    '{"a":1,}',
    '\ufeff{}',
    Buffer.from([0x7b, 0xff, 0x7d]),
  ]) {
    t.same(await send(payload), [400, 'malformed_request'], JSON.stringify(String(payload)))
  }
})

t.test('who asks for nothing that is there is told where everything is listed', async (t) => {
  const { app } = await buildTestApp()
  t.teardown(() => app.close())
  for (const url of ['/', '/nowhere']) {
    const { code, title, detail } = (await app.inject({ method: 'GET', url })).json()
    t.equal(code, 'route_not_found')
    t.not(detail, `${title}.`, 'the detail says more than the title')
    const [page = ''] = /\/docs\b/.exec(detail) ?? []
    t.equal((await app.inject({ method: 'GET', url: page })).statusCode, 200, `${page} is served`)
  }
})

t.test('the documentation page serves its own files and no others', async (t) => {
  const { app } = await buildTestApp()
  t.teardown(() => app.close())
  const page = await app.inject({ method: 'GET', url: '/docs' })
  t.match(page, { statusCode: 200, headers: { 'content-type': /^text\/html/ } })
  t.match(page.headers['content-security-policy'], "default-src 'none'; script-src 'self'; style-src 'self'; ")
  for (const [, file] of page.body.matchAll(/(?:src|href)="([^"]+)"/g)) {
    t.equal((await app.inject({ method: 'GET', url: file as string })).statusCode, 200, String(file))
  }
  // As bytes: a client of its own would resolve the dots.
  const { port, close } = await startTestApp()
  t.teardown(close)
  for (const path of ['nothing', '%00', '%2e%2e/', '..%2f..%2fpackage.json', '../../package.json', '%5c..%5c', '.x']) {
    const answer = await sendRaw(port, `GET /docs/static/${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 100)
    t.match(answer, { status: 404, problem: { code: 'route_not_found' } }, path)
  }
})

t.test('metrics come as Prometheus text, or as OpenMetrics when asked', async (t) => {
  const { url, close } = await startTestApp()
  t.teardown(close)
  await fetch(`${url}/streams/some-secret-stream`)
  await fetch(`${url}/nowhere-1`)
  await fetch(`${url}/nowhere-2`)
  await sendRaw(Number(new URL(url).port), 'GARBAGE\r\n\r\n', 100)
  const plain = await fetch(`${url}/metrics`)
  t.equal(plain.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const text = await plain.text()
  t.match(text, 'http_server_request_duration_seconds_count{method="GET",route="/streams/:stream_id",status="404"} 1')
  t.match(text, 'http_server_request_duration_seconds_count{method="GET",route="unmatched",status="404"} 2')
  t.match(text, 'http_server_request_duration_seconds_bucket{method="GET",route="unmatched",status="404",le="+Inf"} 2')
  t.match(text, 'http_server_malformed_requests_total{status="400"} 1')
  t.match(text, 'http_server_active_requests 1')
  t.notMatch(text, /some-secret-stream|nowhere/)
  const open = await fetch(`${url}/metrics`, {
    headers: { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' },
  })
  t.match(open.headers.get('content-type'), /^application\/openmetrics-text/)
  const openText = await open.text()
  t.match(
    openText,
    /# TYPE http_server_malformed_requests counter\nhttp_server_malformed_requests_total\{status="400"\} 1\n/,
  )
  t.match(openText, /le="1\.0"/)
  t.match(openText, /\n# EOF\n$/)
  t.match(
    await (await fetch(`${url}/metrics`)).text(),
    /# TYPE http_server_malformed_requests_total counter/,
    'and back',
  )
  t.equal((await fetch(`${url}/metrics`, { headers: { accept: 'text/html' } })).status, 406)
})

t.test('health answers 200 in every state, readiness tells it', async (t) => {
  const cases = [
    { database: 'healthy', notReady: [], status: 'ok', ready: 200 },
    { database: 'healthy', notReady: [], degraded: ['database_full'], status: 'degraded', ready: 200 },
    { database: 'healthy', notReady: ['migrations'], status: 'degraded', ready: 503 },
    { database: 'healthy', notReady: ['read_only', 'draining'], status: 'degraded', ready: 503 },
    { database: 'unhealthy', notReady: ['starting', 'database'], status: 'error', ready: 503 },
  ] as const
  for (const { database, notReady, status, ready, ...rest } of cases) {
    const { app } = await buildTestApp({
      parts: {
        health: () => ({
          database,
          eventCount: database === 'healthy' ? 7 : null,
          notReady: [...notReady],
          degraded: 'degraded' in rest ? [...rest.degraded] : [],
          checks: {},
        }),
      },
    })
    const get = (url: string) => app.inject({ method: 'GET', url })
    const health = await get('/health')
    t.equal(health.statusCode, 200)
    t.match(health.json(), { status, database, version: '0.0.0-test', uptime_seconds: Number, checks: {} })
    t.equal(health.json().event_count, database === 'healthy' ? 7 : null)
    for (const url of ['/health/live', '/livez']) t.same((await get(url)).json(), { status: 'ok' })
    for (const url of ['/health/ready', '/readyz']) {
      const answer = await get(url)
      t.equal(answer.statusCode, ready, `${url} ${notReady.join()}`)
      if (ready === 200) t.same(answer.json(), { status: 'ready' })
      else t.match(answer.json(), { code: 'not_ready', reasons: [...notReady], retryable: true })
      if (ready === 503) t.ok(answer.headers['retry-after'])
    }
    await app.close()
  }
})
