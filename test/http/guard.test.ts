// What stands between the network and the routes: pages of other sites, proxies, TLS, and the headers for browsers.

import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { loadSettings } from '../../src/config.ts'
import { createGuard } from '../../src/guard.ts'
import { openLog } from '../../src/logger.ts'
import { createRegistry } from '../../src/metrics/registry.ts'
import { buildTestApp } from '../support/app.ts'
import { makeAuthority } from '../support/certificates.ts'
import { type Teardown, testFolder } from '../support/postgres.ts'
import { startTestService, until } from '../support/service.ts'

const TOKEN = 'read-token-0123456789'
const bearer = { authorization: `Bearer ${TOKEN}` }

/** The app behind the guard that these settings make. */
async function openApp(t: Teardown, env: Record<string, string>) {
  const { settings } = loadSettings(env)
  const { logger } = openLog({ LOG_LEVEL: 'silent' }, { write: () => {} })
  const guard = await createGuard({ settings, logger, registry: createRegistry() })
  const { app } = await buildTestApp({ parts: guard.parts })
  t.teardown(() => {
    guard.close()
    return app.close()
  })
  return app
}

const refusal = (env: Record<string, string>): Promise<string> =>
  openApp({ teardown: () => {} }, env).then(
    () => 'accepted',
    (error: Error) => `${error.name}: ${error.message}`,
  )

const corsOf = ({ headers }: LightMyRequestResponse) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')))

const APP = 'https://app.example.com'
const ADMIN = 'https://admin.example.com:8443'

t.test('without CORS_ALLOWED_ORIGINS no page of another site may use the service', async (t) => {
  const app = await openApp(t, { ANNALS_TOKENS: `read:${TOKEN}` })
  for (const method of ['GET', 'OPTIONS'] as const) {
    const headers = { ...bearer, origin: APP, 'access-control-request-method': 'GET' }
    const answer = await app.inject({ method, url: '/streams', headers })
    t.same(corsOf(answer), {}, method)
    t.notMatch(answer.headers.vary ?? '', /Origin/)
  }
})

t.test('named origins may use it, and others may not: every preflight has its answer', async (t) => {
  const app = await openApp(t, { ANNALS_TOKENS: `read:${TOKEN}`, CORS_ALLOWED_ORIGINS: `${APP}, ${ADMIN}` })
  const allowed = (methods: string, origin: string) => ({
    'access-control-allow-origin': origin,
    'access-control-allow-methods': methods,
    'access-control-allow-headers':
      'Accept, Annals-Epoch, Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, X-Request-Id',
    'access-control-max-age': '600',
  })
  const CASES: [url: string, origin: string, asked: string | undefined, cors: object][] = [
    ['/events', APP, 'GET', allowed('GET, HEAD, POST, OPTIONS', APP)],
    ['/events', ADMIN, 'POST', allowed('GET, HEAD, POST, OPTIONS', ADMIN)],
    ['/streams/s/snapshot', APP, 'PUT', allowed('GET, HEAD, PUT, DELETE, OPTIONS', APP)],
    ['/streams/s/events', APP, 'DELETE', allowed('GET, HEAD, POST, OPTIONS', APP)],
    ['/events', 'https://evil.example', 'GET', {}],
    ['/events', 'http://app.example.com', 'GET', {}],
    ['/events', 'https://app.example.com:444', 'GET', {}],
    ['/events', 'https://app.example.com.evil.example', 'GET', {}],
    ['/events', 'https://APP.example.com', 'GET', {}],
    ['/events', 'null', 'GET', {}],
    ['/events', '', 'GET', {}],
  ]
  for (const [url, origin, asked, cors] of CASES) {
    const headers = { origin, ...(asked && { 'access-control-request-method': asked }) }
    const answer = await app.inject({ method: 'OPTIONS', url, headers })
    const title = `${asked} ${url} from ${origin}`
    t.equal(answer.statusCode, 204, title)
    t.same(corsOf(answer), cors, title)
    t.equal(answer.headers.vary, 'Origin', title)
    t.match(answer.headers.allow, /GET/, title)
  }
  const plain = await app.inject({ method: 'OPTIONS', url: '/events', headers: { origin: APP } })
  t.notOk('access-control-allow-methods' in plain.headers, 'what is no preflight is answered as ever')
})

t.test('answers of every kind say whether the page may read them', async (t) => {
  const app = await openApp(t, { ANNALS_TOKENS: `read:${TOKEN}`, CORS_ALLOWED_ORIGINS: APP })
  const ask = (url: string, headers: Record<string, string>, method: 'GET' | 'POST' = 'GET') =>
    app.inject({ method, url, headers })
  for (const [status, answer] of [
    [200, await ask('/events', { ...bearer, origin: APP })],
    [401, await ask('/events', { origin: APP })],
    [403, await ask('/pool', { ...bearer, origin: APP })],
    [404, await ask('/nowhere', { origin: APP })],
    [404, await ask('/streams/none', { ...bearer, origin: APP })],
    [405, await ask('/pool', { origin: APP }, 'POST')],
    [400, await ask('/streams/%zz', { ...bearer, origin: APP })],
  ] as const) {
    t.equal(answer.statusCode, status)
    t.equal(answer.headers['access-control-allow-origin'], APP, `${status}`)
    t.match(answer.headers['access-control-expose-headers'], /ETag.*Retry-After/, `${status}`)
    t.match(answer.headers.vary, /\bOrigin\b/, `${status}`)
    t.notOk('access-control-allow-credentials' in answer.headers)
  }
  t.equal((await ask('/events', { ...bearer, origin: APP })).headers.vary, 'Origin, Accept')
  const other = await ask('/events', { ...bearer, origin: 'https://evil.example' })
  t.same([other.statusCode, corsOf(other), other.headers.vary], [200, {}, 'Origin, Accept'], 'another origin')
  t.equal((await ask('/events', bearer)).headers.vary, 'Origin, Accept', 'and none')
})

t.test('on an open loopback a named origin is let in, and only that one', async (t) => {
  const app = await openApp(t, { CORS_ALLOWED_ORIGINS: APP })
  const status = async (headers: Record<string, string>) =>
    (await app.inject({ method: 'GET', url: '/events', headers: { host: 'localhost', ...headers } })).statusCode
  const crossSite = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' }
  t.equal(await status({ origin: APP, ...crossSite }), 200)
  t.equal(await status({ origin: ADMIN, ...crossSite }), 403)
  t.equal(await status({ origin: APP, host: 'evil.example' }), 403, 'by a loopback name')
})

t.test('all origins may be allowed where that is no accident', async (t) => {
  const env = { ANNALS_TOKENS: `read:${TOKEN}`, CORS_ALLOWED_ORIGINS: '*' }
  const app = await openApp(t, env)
  const answer = await app.inject({ method: 'GET', url: '/events', headers: { ...bearer, origin: APP } })
  t.equal(answer.headers['access-control-allow-origin'], '*')
  t.equal(answer.headers.vary, 'Accept', 'the same for all')
  t.match(await refusal({ ...env, APP_ENV: 'production' }), /^SettingsError: .* is \*, .*refused in production/)
  t.match(await refusal({ CORS_ALLOWED_ORIGINS: '*' }), /^SettingsError: .*needs tokens/)
  for (const origin of [
    'app.example.com',
    `${APP}/`,
    'https://App.example.com',
    `${APP}:443`,
    'ftp://a.b',
    ',',
    'null',
  ]) {
    t.match(await refusal({ ...env, CORS_ALLOWED_ORIGINS: origin }), /^SettingsError: .* must be an origin/, origin)
  }
})

t.test('a browser is told to do nothing with what it is shown', async (t) => {
  const app = await openApp(t, {})
  const expected = {
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  }
  for (const [method, url] of [
    ['GET', '/events'],
    ['HEAD', '/events'],
    ['GET', '/health/live'],
    ['GET', '/metrics'],
    ['GET', '/openapi.json'],
    ['GET', '/nowhere'],
    ['POST', '/events'],
    ['GET', '/streams/%zz'],
  ] as const) {
    t.match((await app.inject({ method, url })).headers, expected, `${method} ${url}`)
  }
  const page = await app.inject({ method: 'GET', url: '/docs' })
  t.match(page.headers, { 'content-security-policy': /script-src 'self';.*frame-ancestors 'none'/ }, 'the page may run')
})

t.test('strict transport security is sent over TLS, and only there', async (t) => {
  const hsts = async (
    env: Record<string, string>,
    headers: Record<string, string> = {},
    remoteAddress = '10.0.0.9',
  ) => {
    const app = await openApp(t, { ANNALS_TOKENS: `read:${TOKEN}`, ...env })
    return (await app.inject({ method: 'GET', url: '/livez', headers, remoteAddress })).headers[
      'strict-transport-security'
    ]
  }
  const overTls = { 'x-forwarded-proto': 'https' }
  const behind = { ENABLE_HSTS: 'true', TRUST_PROXY: '10.0.0.0/8' }
  const sent = 'max-age=31536000; includeSubDomains'
  t.equal(await hsts(behind, overTls), sent)
  t.equal(await hsts({ ...behind, TRUST_PROXY: '1' }, overTls), sent, 'by hops')
  t.equal(await hsts(behind, { 'x-forwarded-proto': 'http' }), undefined, 'not over plain HTTP')
  t.equal(await hsts(behind), undefined, 'nor where the proxy does not say')
  t.equal(await hsts(behind, overTls, '192.0.2.1'), undefined, 'nor when somebody else says so')
  t.equal(await hsts({ ENABLE_HSTS: 'on' }, overTls), undefined, 'nor when nobody is trusted')
  t.equal(await hsts({ TRUST_PROXY: '10.0.0.0/8' }, overTls), undefined, 'nor without being asked for')
  for (const list of ['10.0.0.0/33', 'proxy.example', '10.0.0.1,', '-1']) {
    t.match(await refusal({ TRUST_PROXY: list }), /^SettingsError: TRUST_PROXY: ".*" must be an address/, list)
  }
})

t.test('the service speaks TLS with a certificate that can be renewed', async (t) => {
  const folder = testFolder(t)
  const authority = makeAuthority()
  const cert = join(folder, 'cert.pem')
  const key = join(folder, 'key.pem')
  const write = (pair: { cert: string; key: string }) => {
    writeFileSync(key, pair.key)
    writeFileSync(cert, pair.cert)
  }
  const files = { TLS_CERT_FILE: cert, TLS_KEY_FILE: key }
  t.match(await refusal(files), /^SettingsError: TLS_CERT_FILE can't be read: ENOENT/)
  t.match(await refusal({ TLS_CERT_FILE: cert }), /belong together/)
  const first = authority.issue(['127.0.0.1'])
  write({ ...first, key: authority.issue(['127.0.0.1']).key })
  t.match(await refusal(files), /^SettingsError: .*no certificate in PEM with its key/)

  write(first)
  t.match(await refusal({ METRICS_TLS: 'on' }), /^SettingsError: METRICS_TLS is on, but TLS_CERT_FILE is not set/)
  const { url, lines } = await startTestService(t, {
    ...files,
    METRICS_PORT: '0',
    METRICS_TLS: 'on',
    DATABASE_URL: 'postgres://127.0.0.1:1/x',
  })
  t.match(url, /^https:/)
  const { metrics_url: metrics } = JSON.parse(lines.find((line) => line.includes('"listening"')) as string)
  t.match(metrics, /^https:/)
  const port = Number(new URL(url).port)
  const ask = (at = `${url}/livez`) =>
    new Promise<{ status: number; headers: object; serial: string }>((resolve, reject) => {
      const call = request(at, { ca: authority.cert, agent: false }, (answer) => {
        const { serialNumber } = (answer.socket as import('node:tls').TLSSocket).getPeerCertificate()
        answer.resume()
        resolve({ status: answer.statusCode as number, headers: answer.headers, serial: serialNumber })
      })
      call.on('error', reject)
      call.end()
    })
  const before = await ask()
  t.match(before, { status: 200, headers: { 'strict-transport-security': /^max-age=/ } })
  t.match(await ask(metrics), { status: 200, serial: before.serial })
  await t.rejects(fetch(`${url}/livez`), 'whoever does not know the authority does not trust it')
  await t.rejects(
    new Promise((_, reject) =>
      connect({
        port,
        host: '127.0.0.1',
        ca: authority.cert,
        maxVersion: 'TLSv1.1',
        minVersion: 'TLSv1.1',
        ciphers: 'ALL:@SECLEVEL=0',
      }).on('error', reject),
    ),
    'nothing below TLS 1.2',
  )

  writeFileSync(cert, 'half of a')
  await until(() => lines.some((line) => line.includes('could not be taken up')))
  t.equal((await ask()).serial, before.serial, 'a file that is half written changes nothing')
  write(authority.issue(['127.0.0.1']))
  await until(async () => (await ask()).serial !== before.serial)
  t.equal((await ask(metrics)).serial, (await ask()).serial)
  t.ok(lines.some((line) => line.includes('TLS_KEY_FILE changed and were taken up')))
})
