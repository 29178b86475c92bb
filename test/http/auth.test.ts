// Who may do what. The table below is what the contract says; it is compared with the routes that really are there.

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RouteOptions } from 'fastify'
import t from 'tap'
import { loadSettings, SettingsError } from '../../src/config.ts'
import { isLoopbackHost, isLoopbackName } from '../../src/http/authorizer.ts'
import { digestOf, Tokens } from '../../src/http/tokens.ts'
import { openLog } from '../../src/logger.ts'
import { startService } from '../../src/service.ts'
import { buildTestApp, startTestApp } from '../support/app.ts'
import { until } from '../support/service.ts'

const TOKENS = {
  read: 'read-token-0123456789',
  append: 'append-token-0123456789',
  metrics: 'metrics-token-0123456789',
  admin: 'admin-token-0123456789',
  both: 'both-token-0123456789',
}
const LIST = [
  `read:${TOKENS.read}`,
  `append:sha256:${createHash('sha256').update(TOKENS.append).digest('hex')}`,
  `metrics:${TOKENS.metrics}`,
  `admin:${TOKENS.admin}`,
  `read+append:${TOKENS.both}`,
].join(',')

/** Method and path to the scopes of which one is enough; empty: open to everybody. HEAD is as GET. */
const SCOPES: Record<string, string[]> = {
  'GET /health': [],
  'GET /health/live': [],
  'GET /health/ready': [],
  'GET /livez': [],
  'GET /readyz': [],
  'GET /openapi.json': [],
  'POST /streams/:stream_id/events': ['append'],
  'POST /events': ['append'],
  'POST /import': ['append'],
  'GET /streams/:stream_id/events': ['read'],
  'GET /streams/:stream_id': ['read'],
  'GET /streams': ['read'],
  'GET /events': ['read'],
  'GET /events/:event_id': ['read'],
  'GET /streams/:stream_id/snapshot': ['read'],
  'PUT /streams/:stream_id/snapshot': ['append'],
  'DELETE /streams/:stream_id/snapshot': ['append'],
  'GET /streams/:stream_id/state': ['read'],
  'GET /snapshots/coverage': ['read'],
  'GET /consumers': ['read'],
  'GET /consumers/:name': ['read'],
  'PUT /consumers/:name': ['append'],
  'DELETE /consumers/:name': ['append'],
  'GET /consumers/:name/events': ['read'],
  'POST /consumers/:name/claim': ['read'],
  'POST /consumers/:name/ack': ['read'],
  'POST /consumers/:name/nack': ['read'],
  'GET /consumers/:name/parked': ['read'],
  'POST /consumers/:name/parked/replay': ['append'],
  'POST /consumers/:name/pause': ['append'],
  'POST /consumers/:name/resume': ['append'],
  'POST /consumers/:name/reset': ['append'],
  'GET /migrations': ['admin'],
  'POST /migrations': ['admin'],
  'GET /pool': ['admin'],
  'GET /pool/sizing': ['admin'],
  'GET /integrity': ['admin'],
  'GET /schedules': ['admin'],
  'GET /backups': ['admin'],
  'POST /backups': ['admin'],
  'GET /backups/types': ['admin'],
  'GET /backups/:id': ['admin'],
  'POST /backups/:id/verify': ['admin'],
  'POST /backups/:id/test': ['admin'],
  'GET /jobs/:id': ['admin'],
  'GET /metrics': ['metrics', 'read'],
}

const authorization = (token: string) => ({ authorization: `Bearer ${token}` })

t.test('every route asks for its scope, and for nothing else', async (t) => {
  const routes: RouteOptions[] = []
  const { app } = await buildTestApp({ tokens: LIST, onRoute: (route) => routes.push(route) })
  t.teardown(() => app.close())
  await app.ready()
  const served = routes.filter(({ method }) => method !== 'HEAD')
  const nameOf = ({ method, url }: RouteOptions) =>
    `${String(method).replace('HEAD,', '')} ${url.replace(/(?<=.)\/$/, '')}`
  const own = served.filter(({ url }) => !url.startsWith('/docs'))
  t.same(own.map(nameOf).sort(), Object.keys(SCOPES).sort(), 'the table names every route')
  const documented = readFileSync(new URL('../../docs/reference/routes.md', import.meta.url), 'utf8')
  const rows = [...documented.matchAll(/^\| ([A-Z]+) \| `(\/.*?)` \| (.*?) \|/gm)].map(
    ([, method, path = '', scopes = '']) =>
      [
        `${method} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
        [...scopes.matchAll(/`(\w+)`/g)].map(([, scope]) => scope),
      ] as const,
  )
  t.same(
    rows.map(([name]) => name).sort(),
    served.map(nameOf).sort(),
    'and so does the reference, with the pages of /docs',
  )
  for (const [name, scopes] of rows) t.same(scopes, SCOPES[name] ?? [], `${name}: the reference says its scopes`)

  for (const [route, scopes] of Object.entries(SCOPES)) {
    const [method, path] = route.split(' ') as ['GET' | 'POST' | 'PUT' | 'DELETE', string]
    const url = path
      .replace(':stream_id', 's')
      .replace(':name', 'c')
      .replace(':event_id', '0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f')
    const methods = method === 'GET' ? (['GET', 'HEAD'] as const) : [method]
    for (const method of methods) {
      const ask = (headers: Record<string, string>) => app.inject({ method, url, headers })
      const without = await ask({})
      if (scopes.length === 0) {
        t.notSame(without.statusCode, 401, `${method} ${url} is open`)
        continue
      }
      t.equal(without.statusCode, 401, `${method} ${url} without a token`)
      t.equal(without.headers['www-authenticate'], 'Bearer')
      const unknown = await ask(authorization('unknown-token-0123456789'))
      t.equal(unknown.statusCode, 401, `${method} ${url} with an unknown token`)
      for (const scope of ['read', 'append', 'metrics', 'admin'] as const) {
        const answer = await ask(authorization(TOKENS[scope]))
        const isAllowed = scope === 'admin' || scopes.includes(scope)
        t.equal(answer.statusCode === 403, !isAllowed, `${method} ${url} with ${scope}`)
        t.not(answer.statusCode, 401)
        if (!isAllowed && method !== 'HEAD') {
          t.match(answer.json(), { code: 'forbidden', scope: scopes[0], outcome: 'not_applied' })
        }
      }
    }
  }
})

t.test('a token with two scopes has both, and no third', async (t) => {
  const { app } = await buildTestApp({ tokens: LIST })
  t.teardown(() => app.close())
  const ask = (method: 'GET' | 'POST', url: string) => app.inject({ method, url, headers: authorization(TOKENS.both) })
  t.equal((await ask('GET', '/events')).statusCode, 200)
  t.equal((await ask('POST', '/events')).statusCode, 400)
  t.equal((await ask('GET', '/pool')).statusCode, 403)
})

t.test('the scheme is Bearer in any case, and nothing else opens', async (t) => {
  const { app } = await buildTestApp({ tokens: LIST })
  t.teardown(() => app.close())
  const status = async (authorization: string) =>
    (await app.inject({ method: 'GET', url: '/events', headers: { authorization } })).statusCode
  t.equal(await status(`bearer ${TOKENS.read}`), 200)
  t.equal(await status(`BEARER   ${TOKENS.read}  `), 200)
  for (const value of [
    '',
    'Bearer',
    'Bearer ',
    TOKENS.read,
    `Basic ${TOKENS.read}`,
    `Bearer ${TOKENS.read}x`,
    `Bearer ${TOKENS.read.slice(1)}`,
    `Bearer ${TOKENS.read} ${TOKENS.read}`,
    `Bearer ${TOKENS.read},${TOKENS.append}`,
    `Bearer sha256:${createHash('sha256').update(TOKENS.append).digest('hex')}`,
  ]) {
    t.equal(await status(value), 401, JSON.stringify(value))
  }
  t.equal((await app.inject({ method: 'GET', url: `/events?access_token=${TOKENS.read}` })).statusCode, 401)
})

t.test('what happens without a token: OPTIONS, unknown paths and methods, and health without its checks', async (t) => {
  const { app } = await buildTestApp({ tokens: LIST })
  t.teardown(() => app.close())
  t.match(await app.inject({ method: 'OPTIONS', url: '/pool' }), {
    statusCode: 204,
    headers: { allow: 'GET, HEAD, OPTIONS' },
  })
  t.equal((await app.inject({ method: 'GET', url: '/nowhere' })).statusCode, 404)
  t.equal((await app.inject({ method: 'DELETE', url: '/pool' })).statusCode, 405)
  const health = async (headers: Record<string, string>) =>
    (await app.inject({ method: 'GET', url: '/health', headers })).json()
  t.notOk('checks' in (await health({})))
  t.notOk('checks' in (await health(authorization(TOKENS.read))))
  t.notOk('checks' in (await health(authorization('unknown-token-0123456789'))))
  t.ok('checks' in (await health(authorization(TOKENS.admin))))
  t.equal((await app.inject({ method: 'GET', url: '/docs' })).statusCode, 200)
})

t.test('an open loopback trusts the machine, but no page of another site', async (t) => {
  const { url, close } = await startTestApp()
  t.teardown(close)
  const { app } = await buildTestApp()
  t.teardown(() => app.close())
  const ask = async (headers: Record<string, string>, method: 'GET' | 'POST' = 'GET') =>
    (await app.inject({ method, url: '/migrations', headers })).statusCode
  t.ok('checks' in ((await (await fetch(`${url}/health`)).json()) as object), 'health shows its checks')
  for (const host of ['localhost', 'localhost:8080', '127.0.0.1:8080', '127.1.2.3', '[::1]:8080', 'annals.localhost']) {
    t.equal(await ask({ host }), 503, `${host} is served`)
  }
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    '[::2]',
    '127.0.0.1.evil.example',
    'x127.0.0.1',
  ]) {
    t.equal(await ask({ host }), 403, `${host} is refused`)
  }
  t.equal(await ask({ host: 'localhost', origin: 'http://localhost:3000' }, 'POST'), 503)
  t.equal(await ask({ host: 'localhost', origin: 'http://localhost:3000' }), 503)
  t.equal(await ask({ host: 'localhost', origin: 'https://evil.example' }), 403)
  t.equal(await ask({ host: 'localhost', origin: 'null' }), 403)
  t.equal(await ask({ host: 'localhost', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }), 403)
  t.equal(await ask({ host: 'localhost', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }), 503, 'a link')
  t.equal(await ask({ host: 'localhost', 'sec-fetch-site': 'same-origin' }), 503)
})

t.test('with tokens any Host is served', async (t) => {
  const { app } = await buildTestApp({ tokens: LIST })
  t.teardown(() => app.close())
  const headers = { host: 'events.example', origin: 'https://app.example', ...authorization(TOKENS.read) }
  t.equal((await app.inject({ method: 'GET', url: '/events', headers })).statusCode, 200)
})

t.test('loopback is told from the rest', async (t) => {
  for (const name of ['127.0.0.1', '127.255.0.9', '::1', 'localhost', 'LOCALHOST', 'localhost.']) {
    t.ok(isLoopbackName(name), name)
  }
  for (const name of ['0.0.0.0', '::', '10.0.0.1', 'example.com', '', '128.0.0.1', '127.0.0.1.nip.io']) {
    t.notOk(isLoopbackName(name), name)
  }
  t.notOk(isLoopbackHost('localhost:8080:8080'))
  t.notOk(isLoopbackHost('user@localhost'))
})

t.test('an entry that is malformed stops the start, is named, and is not shown', async (t) => {
  const secret = 'very-secret-0123456789'
  for (const list of [
    secret,
    `reed:${secret}`,
    `read+reed:${secret}`,
    `read+:${secret}`,
    `:${secret}`,
    'read:too-short',
    `read:sha256:${secret}`,
    `read:has a blank ${secret}`,
    `READ:${secret}`,
    `read:${TOKENS.read},,append:${secret}`,
    `read:${TOKENS.read},`,
  ]) {
    t.throws(
      () => new Tokens({ list }),
      { name: 'SettingsError', message: /^ANNALS_TOKENS: entry \d must be scope/ },
      list,
    )
    try {
      new Tokens({ list })
    } catch (error) {
      t.notOk((error as Error).message.includes(secret), 'the secret stays out')
    }
  }
  t.throws(() => new Tokens({ file: '/nowhere/tokens' }), { message: /^ANNALS_TOKENS_FILE can't be read: ENOENT/ })
})

t.test('the file of tokens is taken up when it changes, and survives a bad edit', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'annals-tokens-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'tokens')
  // In one step, so that nobody reads half of it.
  const write = (text: string) => {
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
  }
  write(`# who\n\nread:${TOKENS.read}\n`)
  const tokens = new Tokens({ file, list: `metrics:${TOKENS.metrics}` })
  t.teardown(() => tokens.close())
  const lines: string[] = []
  tokens.watch({ info: (_, message) => lines.push(message), error: (_, message) => lines.push(message) }, 20)
  const grantOf = (token: string) => tokens.holderOf(digestOf(token))?.grant ?? new Set()
  t.same([...grantOf(TOKENS.read)], ['read'])

  write(`append:${TOKENS.append}\nread+metrics:${TOKENS.read}\r\n`)
  await until(() => grantOf(TOKENS.append).size > 0)
  t.same([...grantOf(TOKENS.append)], ['append'])
  t.same([...grantOf(TOKENS.read)], ['read', 'metrics'])
  t.match(lines.at(-1), /was taken up/)

  write(`append:${TOKENS.append}\nnonsense\n`)
  await until(() => lines.length === 2)
  t.match(lines.at(-1), /could not be taken up/)
  t.same([...grantOf(TOKENS.append)], ['append'], 'the tokens stay as they were')

  rmSync(file)
  await until(() => lines.length === 3)
  t.same([...grantOf(TOKENS.append)], ['append'], 'a file that is gone changes nothing')

  write('')
  await until(() => grantOf(TOKENS.append).size === 0)
  t.same([...grantOf(TOKENS.append)], [], 'an empty file revokes all of its tokens')
  t.same([...grantOf(TOKENS.metrics)], ['metrics'], 'and none of the others')
})

t.test('the service refuses to listen beyond loopback without tokens, and says what to set', async (t) => {
  const log = openLog({ LOG_LEVEL: 'silent' }, { write: () => {} })
  for (const HOST of ['0.0.0.0', '::', '10.1.2.3', 'example.com']) {
    const { settings } = loadSettings({ HOST, PORT: '0', DATABASE_URL: 'postgres://127.0.0.1:1/x' })
    await t.rejects(startService({ settings, log }), { constructor: SettingsError, message: /ANNALS_TOKENS/ }, HOST)
  }
})
