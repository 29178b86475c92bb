// The limit on the requests of one client: the bucket, what counts as a client, and Redis coming and going.

import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { loadSettings } from '../src/config.ts'
import { createGuard } from '../src/guard.ts'
import { addressKey, rateLimit } from '../src/http/rate-limit.ts'
import { openLog } from '../src/logger.ts'
import { createRegistry } from '../src/metrics/registry.ts'
import type { Rate } from '../src/rate-limit/buckets.ts'
import { LocalBuckets } from '../src/rate-limit/local-buckets.ts'
import { buildTestApp } from './support/app.ts'
import { createTestDatabase, type Teardown } from './support/postgres.ts'
import { startRedis, withoutRedis } from './support/redis.ts'
import { ask, startTestService, until } from './support/service.ts'

const HUNDRED = { name: 'client', perSecond: 100, burst: 200 }

t.test('two hundred requests pass at once, and then a hundred a second', async (t) => {
  const buckets = new LocalBuckets(HUNDRED)
  const countAllowed = (from: number, to: number) => {
    let allowed = 0
    for (let at = from; at < to; at++) for (let i = 0; i < 5; i++) if (buckets.take('a', at).isAllowed) allowed++
    return allowed
  }
  for (let i = 199; i >= 0; i--) {
    const { isAllowed, remaining } = buckets.take('a', 0)
    if (!isAllowed || remaining !== i) t.fail(`request ${200 - i} leaves ${remaining}`)
  }
  const refused = buckets.take('a', 0)
  t.match(refused, { isAllowed: false, remaining: 0 })
  t.ok(Math.abs(refused.waitMs - 10) < 0.1 && Math.abs(refused.fullInMs - 2_000) < 0.1)
  t.equal(countAllowed(1, 1_001), 100)
  t.equal(countAllowed(1_001, 11_001), 1_000)
  t.equal(buckets.take('b', 11_001).remaining, 199, 'another client has a bucket of its own')
  t.equal(buckets.take('a', 99_999).remaining, 199, 'which is full again after a while')
})

t.test('whatever the times, a bucket gives what the rate says, and does not refuse who keeps to it', async (t) => {
  const gaps = fc.array(fc.double({ min: 0, max: 300, noNaN: true }), { minLength: 1, maxLength: 300 })
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 50 }), (gaps, perSecond, burst) => {
      const buckets = new LocalBuckets({ name: 'x', perSecond, burst })
      let at = 0
      let tokens = burst
      for (const gap of gaps) {
        at += gap
        tokens = Math.min(burst, tokens + (gap * perSecond) / 1000)
        const { isAllowed } = buckets.take('k', at)
        if (isAllowed !== tokens >= 1 && Math.abs(tokens - 1) > 1e-2) return false
        if (isAllowed) tokens -= 1
      }
      return true
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('memory is bounded, and clients that went away are forgotten', async (t) => {
  const buckets = new LocalBuckets({ name: 'x', perSecond: 1_000, burst: 20 }, 1_000)
  for (let i = 0; i < 50_000; i++) buckets.take(`client ${i}`)
  t.ok(buckets.size <= 1_000, `${buckets.size} of at most 1,000`)
  for (let i = 0; i < 3; i++) {
    await sleep(25)
    buckets.take('one')
  }
  t.ok(buckets.size <= 2, `${buckets.size} after a while`)
})

t.test('an address is one client, an IPv6 network too', async (t) => {
  t.equal(addressKey('::ffff:192.0.2.1'), addressKey('192.0.2.1'))
  t.equal(addressKey('2001:db8:1:2::1'), addressKey('2001:db8:1:2:ffff:1:2:3'))
  t.not(addressKey('2001:db8:1:2::1'), addressKey('2001:db8:1:3::1'))
  t.equal(addressKey('some text'), addressKey('_hidden'))
  t.equal(addressKey(undefined), 'unknown')
})

const TOKENS = { one: 'one-token-0123456789', two: 'two-token-0123456789' }
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

async function openApp(t: Teardown, env: Record<string, string>, rate?: Rate): Promise<FastifyInstance> {
  const { settings } = loadSettings({ ANNALS_TOKENS: `read:${TOKENS.one},read:${TOKENS.two}`, ...env })
  const { logger } = openLog({ LOG_LEVEL: 'silent' }, { write: () => {} })
  const guard = await createGuard({ settings, logger, registry: createRegistry() })
  const { app } = await buildTestApp({
    parts: { ...guard.parts, ...(rate && { rateLimit: rateLimit(new LocalBuckets(rate)) }) },
  })
  t.teardown(() => {
    guard.close()
    return app.close()
  })
  return app
}

// A token comes back every 100 s, so that a slow machine does not change what is counted.
const SLOW: Rate = { name: 'client', perSecond: 0.01, burst: 5 }

t.test('without RATE_LIMIT_PER_SECOND there is no limit', async (t) => {
  const app = await openApp(t, {})
  for (let i = 0; i < 500; i++) await app.inject({ url: '/events', headers: bearer(TOKENS.one) })
  const { statusCode, headers } = await app.inject({ url: '/events', headers: bearer(TOKENS.one) })
  t.equal(statusCode, 200)
  t.same(
    Object.keys(headers).filter((name) => name.startsWith('ratelimit')),
    [],
  )
})

t.test('who asks too often gets 429, and every answer says how much is left', async (t) => {
  const app = await openApp(t, { RATE_LIMIT_PER_SECOND: '1' })
  const ask = () => app.inject({ url: '/events', headers: bearer(TOKENS.one) })
  const first = await ask()
  t.equal(first.statusCode, 200)
  t.match(first.headers, {
    'ratelimit-policy': '"client";q=2;w=2',
    ratelimit: '"client";r=1;t=1',
    'ratelimit-limit': '2',
    'ratelimit-remaining': '1',
    'ratelimit-reset': '1',
  })
  let refused = first
  for (let i = 0; i < 50 && refused.statusCode === 200; i++) refused = await ask()
  t.equal(refused.statusCode, 429)
  t.match(refused.headers, { 'retry-after': '1', 'ratelimit-remaining': '0', 'ratelimit-limit': '2' })
  t.match(refused.json(), { code: 'rate_limited', status: 429, retryable: true, outcome: 'not_applied' })
  await sleep(1_100)
  t.equal((await ask()).statusCode, 200, 'after Retry-After it is served again')
})

t.test('a client is its token, and without one its address', async (t) => {
  const app = await openApp(t, {}, SLOW)
  const use = async (headers: Record<string, string>, remoteAddress: string, url = '/events', times = 6) => {
    const statuses: number[] = []
    for (let i = 0; i < times; i++) statuses.push((await app.inject({ url, headers, remoteAddress })).statusCode)
    return statuses
  }
  t.same(await use(bearer(TOKENS.one), '192.0.2.1'), [200, 200, 200, 200, 200, 429])
  t.same(await use(bearer(TOKENS.one), '192.0.2.2', '/events', 1), [429], 'the token, wherever it comes from')
  t.same(await use(bearer(TOKENS.two), '192.0.2.1', '/events', 1), [200], 'another token from the same address')
  t.same(await use({}, '192.0.2.1'), [401, 401, 401, 401, 401, 429], 'no token')
  t.same(await use(bearer('guessed-token-0123456789'), '192.0.2.1', '/events', 1), [429], 'a guessed one is none')
  t.same(await use({}, '192.0.2.3', '/nowhere'), [404, 404, 404, 404, 404, 429])
  t.same(await use({}, '192.0.2.3', '/streams/%zz', 1), [429])
  for (const url of ['/health', '/health/live', '/health/ready', '/livez', '/readyz']) {
    t.same(await use({}, '192.0.2.3', url, 9), Array(9).fill(200), `${url} is not counted`)
  }
  t.same(await use(bearer(TOKENS.one), '192.0.2.3', '/metrics', 9), Array(9).fill(200), 'nor are metrics')
})

t.test('what a client says of its address counts only from a proxy that is trusted', async (t) => {
  const remaining = async (app: FastifyInstance, remoteAddress: string, forwarded: string) => {
    const answer = await app.inject({ url: '/events', remoteAddress, headers: { 'x-forwarded-for': forwarded } })
    return Number(answer.headers['ratelimit-remaining'])
  }
  const open = await openApp(t, {}, SLOW)
  t.equal(await remaining(open, '192.0.2.1', '198.51.100.1'), 4)
  t.equal(await remaining(open, '192.0.2.1', '198.51.100.2'), 3, 'nobody is trusted')

  const behind = await openApp(t, { TRUST_PROXY: '10.0.0.0/8, 192.168.1.1' }, SLOW)
  t.equal(await remaining(behind, '10.1.1.1', '198.51.100.1'), 4)
  t.equal(await remaining(behind, '10.1.1.2', '198.51.100.1'), 3, 'through another proxy')
  t.equal(await remaining(behind, '10.1.1.1', '198.51.100.2'), 4, 'another client')
  t.equal(await remaining(behind, '10.1.1.1', '203.0.113.9, 198.51.100.1'), 2, 'what the client wrote in front')
  t.equal(await remaining(behind, '10.1.1.1', '198.51.100.1, 192.168.1.1'), 1, 'two proxies')
  t.equal(await remaining(behind, '192.0.2.7', '198.51.100.1'), 4, 'somebody else is taken for who he is')

  const hops = await openApp(t, { TRUST_PROXY: '1' }, SLOW)
  t.equal(await remaining(hops, '10.1.1.1', '203.0.113.9, 198.51.100.1'), 4)
  t.equal(await remaining(hops, '10.1.1.1', '203.0.113.8, 198.51.100.1'), 3)
})

const sharedEnv = (url: string, redisUrl: string, more: Record<string, string> = {}) => ({
  DATABASE_URL: url,
  MIGRATE_ON_START: 'on',
  RATE_LIMIT_PER_SECOND: '1',
  RATE_LIMIT_BURST: '100',
  REDIS_URL: redisUrl,
  ...more,
})

const limitOf = async (url: string) => {
  const { body, headers } = await ask(`${url}/streams`)
  return {
    status: body['status'] ?? 200,
    remaining: Number(headers.get('ratelimit-remaining')),
    policy: headers.get('ratelimit-policy'),
  }
}

const modeOf = async (url: string) => {
  const { body } = await ask(`${url}/health`)
  return { status: body['status'], mode: (body['checks'] as { rate_limit: { mode: string } }).rate_limit.mode }
}

const isShared = async (url: string) => (await modeOf(url)).mode === 'shared'

t.test('instances count together in Redis, and by themselves while it is away', { skip: withoutRedis }, async (t) => {
  const { url } = await createTestDatabase(t)
  const redis = await startRedis(t)
  const one = await startTestService(t, sharedEnv(url, redis.url))
  const two = await startTestService(t, sharedEnv(url, redis.url))
  await Promise.all([one.ready, two.ready])
  await until(async () => (await isShared(one.url)) && (await isShared(two.url)))

  t.match(await limitOf(one.url), { remaining: 99, policy: '"client";q=100;w=100' })
  for (let i = 0; i < 20; i++) await limitOf(one.url)
  t.ok((await limitOf(two.url)).remaining < 90, 'one bucket for both')
  t.same(await modeOf(one.url), { status: 'ok', mode: 'shared' })

  // Under load: every request is answered, by Redis or without it.
  const statuses = new Set<number>()
  let isOver = false
  let slowestMs = 0
  const load = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const startedAt = performance.now()
      statuses.add((await ask(`${one.url}/streams`)).status)
      slowestMs = Math.max(slowestMs, performance.now() - startedAt)
    }
  })
  await sleep(200)
  await redis.kill()
  await until(async () => !(await isShared(one.url)))
  await sleep(200)
  isOver = true
  await Promise.all(load)
  t.same(
    [...statuses].filter((status) => status !== 200 && status !== 429),
    [],
    'nobody saw Redis die',
  )
  t.ok(slowestMs < 20_000, `nor waited for it: ${Math.round(slowestMs)} ms at most`)

  t.same(await modeOf(one.url), { status: 'degraded', mode: 'strict' })
  t.equal((await ask(`${one.url}/health/ready`)).status, 200, 'it stays ready')
  t.equal((await limitOf(one.url)).policy, '"strict";q=10;w=60', 'ten a minute')
  t.match(await (await fetch(`${one.url}/metrics`)).text(), /annals_rate_limit_mode\{mode="strict"\} 1/)
  t.equal((await limitOf(two.url)).remaining, 9, 'each by itself')

  await redis.start()
  await until(async () => (await isShared(one.url)) && (await isShared(two.url)))
  t.match(await limitOf(one.url), { status: 200, remaining: 99 }, 'and together again, by themselves')

  redis.pause()
  const startedAt = performance.now()
  t.equal((await limitOf(one.url)).policy, '"strict";q=10;w=60', 'a Redis that does not answer is lost too')
  t.ok(performance.now() - startedAt < 20_000)
  redis.resume()
  await until(() => isShared(one.url))
  t.ok(one.lines.some((line) => line.includes('Redis is lost')))
  t.ok(one.lines.some((line) => line.includes('counted in Redis')))
})

t.test(
  'RATE_LIMIT_FALLBACK=local keeps the limit as it is, and a wrong password is no secret told',
  { skip: withoutRedis },
  async (t) => {
    const { url } = await createTestDatabase(t)
    const redis = await startRedis(t, { password: 'the-right-one' })
    const wrong = redis.url.replace('the-right-one', 'the-wrong-one')
    const service = await startTestService(
      t,
      sharedEnv(url, wrong, { RATE_LIMIT_FALLBACK: 'local', LOG_LEVEL: 'trace' }),
    )
    await service.ready
    await until(() => service.lines.some((line) => line.includes('Redis is lost')))
    t.match(await limitOf(service.url), { remaining: 99, policy: '"client";q=100;w=100' })
    t.same(await modeOf(service.url), { status: 'degraded', mode: 'local' })
    await until(() => /WRONGPASS|NOAUTH/.test(service.lines.join('')))
    await sleep(700)
    t.notMatch(service.lines.join(''), /the-wrong-one/)

    const right = await startTestService(t, sharedEnv(url, redis.url))
    await right.ready
    await until(() => isShared(right.url))
    t.equal((await limitOf(right.url)).remaining, 99)
  },
)
