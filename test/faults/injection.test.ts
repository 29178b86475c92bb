// Every call of the database that a route makes fails in every way, one after another: whatever happens, the answer
// keeps the contract, says the truth about what was stored, and the next request works.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import { Random } from '../../src/proof/random.ts'
import { startTestCluster, type TestCluster } from '../support/postgres.ts'
import { ask, startTestService } from '../support/service.ts'
import { FaultProxy } from './fault-proxy.ts'
import type { StatementFault } from './faulty-connection.ts'

/** All of them with FAULT_INJECTION=all; else a part, another one each time. */
const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 1_000_000)
const share = process.env['FAULT_INJECTION'] === 'all' ? 1 : 0.1
/** Only these, to look into one: `FAULT_ROUTES='GET /integrity'`. */
const only = new RegExp(process.env['FAULT_ROUTES'] ?? '')
const LANES = 4
const HANG_MS = 20_000

const FAULTS: Record<string, StatementFault> = {
  'error before': { kind: 'error', when: 'before', sqlState: 'XX000' },
  '40001 before': { kind: 'error', when: 'before', sqlState: '40001' },
  '57P01 before': { kind: 'error', when: 'before', sqlState: '57P01', severity: 'FATAL' },
  'death before': { kind: 'die', when: 'before' },
  'hang before': { kind: 'hang', when: 'before' },
  '57P01 after': { kind: 'error', when: 'after', sqlState: '57P01', severity: 'FATAL' },
  'death after': { kind: 'die', when: 'after' },
  'hang after': { kind: 'hang', when: 'after' },
}

const SETTINGS = {
  MIGRATE_ON_START: 'on',
  MIGRATIONS_OVER_HTTP: 'on',
  LOG_LEVEL: 'silent',
  // What hangs is to be over soon, and what does not hang is to have time enough on a busy machine.
  DATABASE_ACQUIRE_TIMEOUT_MS: '1500',
  DATABASE_LOCK_TIMEOUT_MS: '900',
  DATABASE_STATEMENT_TIMEOUT_MS: '1200',
  DATABASE_QUERY_TIMEOUT_MS: '1500',
  APPEND_QUEUE_TIMEOUT_MS: '1500',
  REQUEST_TIMEOUT_MS: '3500',
}

interface Answer {
  status: number
  body: Record<string, unknown>
  headers: Headers
}

type Call = (method: string, path: string, body?: unknown, type?: string) => Promise<Answer>

/** Asks again while the answer is 503: what a sample needs has to be there, whatever failed before. */
const patient =
  (call: Call): Call =>
  async (...request) => {
    for (let tries = 1; ; tries++) {
      const answer = await call(...request)
      if (answer.status !== 503 || tries === 20) return answer
      await sleep(100)
    }
  }

interface Sample {
  path: string
  body?: unknown
  type?: string
  /** Whether what was asked for has been done; absent for what changes nothing that matters. */
  isApplied?(): Promise<boolean>
}

const NO_BACKUP = 'backup_20260101_000000'
const event = () => ({ id: randomUUID(), type: 'Happened', data: { a: 1 } })

/** One request per route, each about things of its own (`n`); what it needs is made before. */
function samples(call: Call): Record<string, (n: string) => Promise<Sample> | Sample> {
  const append = (n: string) => call('POST', `/streams/${n}/events`, { events: [event(), event()] })
  const exists = (path: string) => async () => (await call('GET', path)).status === 200
  const isGone = (path: string) => async () => (await call('GET', path)).status === 404
  const consumer = async (n: string) => {
    await append(n)
    const { status } = await call('PUT', `/consumers/${n}`, { filter: { stream_prefix: n }, start: 0, partitions: 2 })
    if (status !== 201 && status !== 200) throw new Error(`the consumer of the sample was answered ${status}`)
  }
  const lease = async (n: string) => {
    await consumer(n)
    return (await call('POST', `/consumers/${n}/claim`, { member: 'm' })).body
  }
  const inFlight = async (n: string) => Number((await call('GET', `/consumers/${n}`)).body['in_flight'])
  const snapshot = (n: string) => call('PUT', `/streams/${n}/snapshot`, { version: 1, state: {} })
  const ofStream = (path: (n: string) => string) => async (n: string) => {
    await append(n)
    await snapshot(n)
    return { path: path(n) }
  }
  const ofConsumer = (path: (n: string) => string) => async (n: string) => {
    await consumer(n)
    return { path: path(n) }
  }
  const plain = (path: string) => () => ({ path })
  return {
    'GET /health': plain('/health'),
    'GET /health/live': plain('/health/live'),
    'GET /livez': plain('/livez'),
    'GET /health/ready': plain('/health/ready'),
    'GET /readyz': plain('/readyz'),
    'GET /metrics': plain('/metrics'),
    'GET /openapi.json': plain('/openapi.json'),
    'GET /migrations': plain('/migrations'),
    'POST /migrations': () => ({ path: '/migrations', body: { dry_run: true } }),
    'GET /pool': plain('/pool'),
    'GET /pool/sizing': plain('/pool/sizing'),
    'GET /streams': plain('/streams?limit=5'),
    'GET /snapshots/coverage': plain('/snapshots/coverage?limit=5'),
    'GET /consumers': plain('/consumers'),
    'GET /integrity': plain('/integrity?limit=100'),
    'GET /schedules': plain('/schedules'),
    'GET /backups': plain('/backups'),
    'GET /backups/types': plain('/backups/types'),
    // A job goes on behind its request, where the next sample's faults would meet it: these ask for what is not there.
    'GET /backups/{id}': plain(`/backups/${NO_BACKUP}`),
    'POST /backups': () => ({ path: '/backups', body: { type: 'archive', since: NO_BACKUP } }),
    'POST /backups/{id}/verify': () => ({ path: `/backups/${NO_BACKUP}/verify`, body: {} }),
    'POST /backups/{id}/test': () => ({ path: `/backups/${NO_BACKUP}/test` }),
    'GET /jobs/{id}': plain(`/jobs/${randomUUID()}`),
    'GET /events': plain('/events?limit=5'),
    'POST /streams/{stream_id}/events': (n) => ({
      path: `/streams/${n}/events`,
      body: { expected_version: 0, events: [event()] },
      isApplied: exists(`/streams/${n}`),
    }),
    'POST /events': (n) => ({
      path: '/events',
      body: {
        appends: [
          { stream_id: n, expected_version: 0, events: [event(), event()] },
          { stream_id: `${n}-2`, events: [{ type: 'Happened' }] },
        ],
        checks: [{ stream_id: `${n}-3`, expected_version: 0 }],
      },
      isApplied: exists(`/streams/${n}-2`),
    }),
    'POST /import': (n) => ({
      path: '/import',
      type: 'application/x-ndjson',
      body: `${JSON.stringify({ stream_id: n, ...event() })}\n`,
      isApplied: exists(`/streams/${n}`),
    }),
    'GET /streams/{stream_id}/events': ofStream((n) => `/streams/${n}/events`),
    'GET /streams/{stream_id}': ofStream((n) => `/streams/${n}`),
    'GET /streams/{stream_id}/state': ofStream((n) => `/streams/${n}/state`),
    'GET /streams/{stream_id}/snapshot': ofStream((n) => `/streams/${n}/snapshot`),
    'GET /events/{event_id}': async (n) => ({
      path: `/events/${((await append(n)).body['event_ids'] as string[])[0]}`,
    }),
    'PUT /streams/{stream_id}/snapshot': async (n) => {
      await append(n)
      return {
        path: `/streams/${n}/snapshot`,
        body: { version: 2, state: { a: 1 } },
        isApplied: exists(`/streams/${n}/snapshot`),
      }
    },
    'DELETE /streams/{stream_id}/snapshot': async (n) => {
      await append(n)
      await snapshot(n)
      return { path: `/streams/${n}/snapshot`, isApplied: isGone(`/streams/${n}/snapshot`) }
    },
    'PUT /consumers/{name}': (n) => ({
      path: `/consumers/${n}`,
      body: { filter: {}, start: 'head', partitions: 2 },
      isApplied: exists(`/consumers/${n}`),
    }),
    'DELETE /consumers/{name}': async (n) => ({
      ...(await ofConsumer((name) => `/consumers/${name}`)(n)),
      isApplied: isGone(`/consumers/${n}`),
    }),
    'GET /consumers/{name}': ofConsumer((n) => `/consumers/${n}`),
    'GET /consumers/{name}/parked': ofConsumer((n) => `/consumers/${n}/parked`),
    'GET /consumers/{name}/events': ofConsumer((n) => `/consumers/${n}/events?limit=5`),
    'POST /consumers/{name}/parked/replay': async (n) => {
      const { token } = await lease(n)
      await call('POST', `/consumers/${n}/nack`, { token, action: 'park' })
      return { path: `/consumers/${n}/parked/replay`, body: { limit: 10 } }
    },
    'POST /consumers/{name}/pause': async (n) => ({
      ...(await ofConsumer((name) => `/consumers/${name}/pause`)(n)),
      isApplied: async () => (await call('GET', `/consumers/${n}`)).body['paused'] === true,
    }),
    'POST /consumers/{name}/resume': async (n) => {
      await consumer(n)
      await call('POST', `/consumers/${n}/pause`)
      return {
        path: `/consumers/${n}/resume`,
        isApplied: async () => (await call('GET', `/consumers/${n}`)).body['paused'] === false,
      }
    },
    'POST /consumers/{name}/reset': async (n) => ({
      ...(await ofConsumer((name) => `/consumers/${name}/reset`)(n)),
      body: { position: 1 },
      isApplied: async () => (await call('GET', `/consumers/${n}`)).body['checkpoint'] === 1,
    }),
    'POST /consumers/{name}/claim': async (n) => ({
      ...(await ofConsumer((name) => `/consumers/${name}/claim`)(n)),
      body: { member: 'm', limit: 5 },
    }),
    'POST /consumers/{name}/ack': async (n) => ({
      path: `/consumers/${n}/ack`,
      body: { token: (await lease(n))['token'] },
      isApplied: async () => (await inFlight(n)) === 0,
    }),
    'POST /consumers/{name}/nack': async (n) => ({
      path: `/consumers/${n}/nack`,
      body: { token: (await lease(n))['token'], action: 'park', reason: 'bad' },
      isApplied: async () => (await inFlight(n)) === 0,
    }),
  }
}

interface Lane {
  proxy: FaultProxy
  call: Call
  routes: string[]
}

/** A service on a store of its own, all of whose connections go through the proxy. */
async function openLane(t: Test, cluster: TestCluster, index: number): Promise<Lane> {
  const proxy = await FaultProxy.start(t, cluster.url)
  const env = { ...SETTINGS, DATABASE_URL: proxy.url, DATABASE_SCHEMA: `lane_${index}` }
  const { url, ready } = await startTestService(t, env)
  await ready
  const call: Call = (method, path, body, type = 'application/json') =>
    ask(url + path, {
      method,
      signal: AbortSignal.timeout(HANG_MS),
      ...(body !== undefined && {
        headers: { 'content-type': type },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    })
  const { paths } = (await call('GET', '/openapi.json')).body as { paths: Record<string, object> }
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  return { proxy, call, routes }
}

// How the pool opens and tests connections, and what is asked on timers.
const BACKGROUND = /^SELECT pg_backend_pid\(\) AS pid|^SELECT 1$|^SELECT pg_is_in_recovery/

/** Sends the sample while `choose` decides what happens to each of its statements, counted from 1. */
async function send(
  { proxy, call }: Lane,
  method: string,
  { path, body, type }: Sample,
  choose: (k: number) => StatementFault | undefined,
): Promise<{ answer: Answer; statements: string[] }> {
  const statements: string[] = []
  proxy.inject(({ text }) => (BACKGROUND.test(text) ? undefined : choose(statements.push(text))))
  const answer = await call(method, path, body, type)
  await proxy.heal()
  return { answer, statements }
}

/** What is wrong with the answer, if anything. */
async function fault({ status, body, headers }: Answer, { isApplied }: Sample): Promise<string | undefined> {
  if (status === 0) return 'no answer'
  if (status >= 500 && status !== 503) return `status ${status}`
  const outcome = status < 300 ? 'applied' : body['outcome']
  if (status >= 400) {
    const known = ERRORS[body['code'] as ErrorCode]
    if (known === undefined) return `code ${String(body['code'])}`
    if (!headers.get('content-type')?.startsWith('application/problem+json')) return 'no problem'
    if (status === 503 && !headers.has('retry-after')) return 'no Retry-After'
    if (!['not_applied', 'applied', 'unknown'].includes(String(outcome))) return `outcome ${String(outcome)}`
  }
  if (isApplied === undefined || outcome === 'unknown') return undefined
  const isDone = await isApplied()
  return isDone === (outcome === 'applied') ? undefined : `${String(outcome)}, but it ${isDone ? 'was' : 'was not'}`
}

t.test('every call of the database of every route fails in every way', async (t) => {
  t.comment(`FAULT_SEED=${seed}; FAULT_INJECTION=all for all of them`)
  const cluster = await startTestCluster(t, { isDurable: false, settings: { max_connections: '60' } })
  const lanes = await Promise.all(Array.from({ length: LANES }, (_, i) => openLane(t, cluster, i)))
  const routes = (lanes[0] as Lane).routes
  const makers = lanes.map(({ call }) => samples(patient(call)))
  t.same(Object.keys(makers[0] as object).sort(), [...routes].sort(), 'there is a sample for every route')

  const random = new Random(seed)
  const tried = routes.filter((route) => only.test(route))
  const work = tried.flatMap((route) => Object.keys(FAULTS).map((name) => ({ route, name, dice: random.next() })))
  let injected = 0
  let calls = 0
  const wrong: string[] = []
  const next = async (lane: Lane, make: Record<string, (n: string) => Promise<Sample> | Sample>) => {
    let n = 'none'
    for (let job = work.pop(); job !== undefined; job = work.pop()) {
      const { route, name } = job
      const [method = ''] = route.split(' ')
      const fresh = async () => {
        // Of consumers there can only be so many at a time.
        await patient(lane.call)('DELETE', `/consumers/${n}`)
        n = `x${randomUUID()}`
        return (make[route] as (n: string) => Promise<Sample> | Sample)(n)
      }
      const { statements } = await send(lane, method, await fresh(), () => undefined)
      if (name === Object.keys(FAULTS)[0]) calls += statements.length
      const dice = new Random(Math.floor(job.dice * 2 ** 31))
      for (let k = 1; k <= statements.length; k++) {
        if (!dice.chance(share)) continue
        injected++
        const sample = await fresh()
        const { answer } = await send(lane, method, sample, (i) => (i === k ? FAULTS[name] : undefined))
        const problem = await fault(answer, sample)
        if (problem !== undefined) {
          wrong.push(`${route}, ${name}, ${k} of ${statements.length} (${statements[k - 1]?.slice(0, 60)}): ${problem}`)
        }
        const after = await lane.call('POST', `/streams/x${randomUUID()}/events`, { events: [event()] })
        if (after.status !== 201) {
          wrong.push(`${route}, ${name}, ${k}: the next request gets ${after.status} ${JSON.stringify(after.body)}`)
        }
      }
    }
  }
  await Promise.all(lanes.map((lane, i) => next(lane, makers[i] as ReturnType<typeof samples>)))
  t.comment(`${calls} calls of ${tried.length} routes, ${injected} faults`)
  t.ok(injected > tried.length / 2, `${injected} faults`)
  t.same(wrong, [])
})
