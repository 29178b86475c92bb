// What can go wrong, as things that begin and end. Which of them, for how long and in which order is decided by a seed.

import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Random } from '../../src/proof/random.ts'
import type { PgBouncer } from '../support/pgbouncer.ts'
import { runSql, type TestCluster } from '../support/postgres.ts'
import type { FaultProxy } from './fault-proxy.ts'
import type { Exchange, StatementFault } from './faulty-connection.ts'

/** What faults are done to. */
export interface Scene {
  proxy: FaultProxy
  cluster: TestCluster
  /** PgBouncer between service and proxy, so that what else happens does so behind it; only in its scenario. */
  pooler?: PgBouncer
  /** The service as a process of its own; absent where it is in this one. */
  service?: { kill(): Promise<void>; start(): Promise<void>; signal(signal: NodeJS.Signals): void }
}

export interface Fault {
  name: string
  begin(): unknown
  end(): unknown
}

type Maker = (scene: Scene, random: Random) => Fault

const RELOAD = 'SELECT pg_reload_conf()'
const END_ALL = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'annals/%'`

const APPEND = /annals_append|UPDATE \S+annals_head/

/** Some of the statements fail. */
const statements =
  (name: string, fault: (random: Random) => StatementFault, isHit: (exchange: Exchange) => boolean): Maker =>
  ({ proxy }, random) => {
    const chance = random.pick([0.1, 0.5, 1])
    const kind = fault(random)
    return {
      name: `${name} (${Object.values(kind).join(' ')}, ${chance * 100} %)`,
      begin: () => proxy.inject((exchange) => (isHit(exchange) && random.chance(chance) ? kind : undefined)),
      end: () => proxy.heal(),
    }
  }

const isAppend = ({ text }: Exchange) => APPEND.test(text)

const reset: Maker = ({ proxy }) => ({ name: 'connections are reset', begin: () => proxy.cut(), end: () => {} })

const lostAnswers = statements(
  'answers of appends get lost',
  (random) => ({ kind: 'die', when: 'after', delivered: random.pick(['nothing', 'all_but_ready'] as const) }),
  isAppend,
)

const backendsEnded: Maker = ({ cluster }, random) => ({
  name: 'backends are ended one after another',
  begin: async () => {
    for (let i = random.between(1, 10); i > 0; i--) {
      const pid = await aBackend(cluster, random)
      if (pid !== undefined) await runSql(cluster.adminUrl, 'SELECT pg_terminate_backend($1)', [pid])
      await sleep(random.between(10, 100))
    }
  },
  end: () => {},
})

const network: Maker[] = [
  reset,
  ({ proxy }) => ({ name: 'connections are closed', begin: () => proxy.close(), end: () => {} }),
  ({ proxy }) => ({ name: 'connections are refused', begin: () => proxy.refuse(), end: () => proxy.heal() }),
  ({ proxy }) => ({
    name: 'new connections get no answer',
    begin: () => {
      proxy.silence()
      proxy.cut()
    },
    end: () => proxy.heal(),
  }),
  ({ proxy }, random) => {
    const direction = random.pick(['to_server', 'to_client', 'both'] as const)
    const loses = random.chance(0.5)
    return {
      name: `a black hole ${direction}, ${loses ? 'for good' : 'for a while'}`,
      begin: () => proxy.blackHole(direction, loses),
      end: () => proxy.heal(),
    }
  },
  ({ proxy }, random) => {
    const latencyMs = random.between(5, 150)
    return { name: `latency of ${latencyMs} ms`, begin: () => proxy.delay(latencyMs), end: () => proxy.heal() }
  },
  ({ proxy }, random) => {
    const spreadMs = random.between(50, 500)
    return { name: `swizzle of ${spreadMs} ms`, begin: () => proxy.swizzle(random, spreadMs), end: () => proxy.heal() }
  },
]

const replies: Maker[] = [
  lostAnswers,
  statements('appends never arrive', () => ({ kind: 'die', when: 'before' }), isAppend),
  statements('appends hang', (random) => ({ kind: 'hang', when: random.pick(['before', 'after'] as const) }), isAppend),
  statements(
    'the backend is ended',
    (random) => ({
      kind: 'error',
      when: random.pick(['before', 'after'] as const),
      sqlState: '57P01',
      severity: 'FATAL',
    }),
    () => true,
  ),
  statements(
    'statements are refused',
    (random) => ({ kind: 'error', when: 'before', sqlState: random.pick(['40001', 'XX000', '53200', '55P03']) }),
    () => true,
  ),
]

const server: Maker[] = [
  ({ cluster }) => ({ name: 'the server is killed', begin: () => cluster.kill(), end: () => cluster.start() }),
  ({ cluster }) => ({ name: 'the server is restarted', begin: () => cluster.stop(), end: () => cluster.start() }),
  ({ cluster }) => ({ name: 'the server is frozen', begin: () => cluster.pause(), end: () => cluster.resume() }),
  backendsEnded,
  ({ cluster }, random) => {
    let pid: number | undefined
    return {
      name: 'one backend is frozen',
      begin: async () => {
        pid = await aBackend(cluster, random)
        if (pid !== undefined) trySignal(pid, 'SIGSTOP')
      },
      end: () => {
        if (pid !== undefined) trySignal(pid, 'SIGCONT')
      },
    }
  },
]

const locks: Maker[] = [
  held('the head is locked', 'SELECT * FROM annals_head FOR UPDATE'),
  held('the table of events is locked', 'LOCK TABLE events IN ACCESS EXCLUSIVE MODE'),
  held('a transaction is left open', 'SELECT pg_current_xact_id()'),
]

const service: Maker[] = [
  ({ service }) => ({ name: 'the service is killed', begin: () => service?.kill(), end: () => service?.start() }),
  ({ service }) => ({
    name: 'the service is frozen',
    begin: () => service?.signal('SIGSTOP'),
    end: () => service?.signal('SIGCONT'),
  }),
]

/** The server is there and well, and does not want to. */
const refusals: Maker[] = [
  ordered(
    'the database only reads',
    ['ALTER SYSTEM SET default_transaction_read_only = on', RELOAD],
    ['ALTER SYSTEM RESET default_transaction_read_only', RELOAD],
  ),
  ordered('nobody is let in', ['ALTER ROLE annals NOLOGIN', END_ALL], ['ALTER ROLE annals LOGIN']),
  ordered(
    'the server has room for one connection',
    ['ALTER ROLE annals CONNECTION LIMIT 1', END_ALL],
    ['ALTER ROLE annals CONNECTION LIMIT -1'],
  ),
  ordered(
    'the server has room for three connections',
    ['ALTER ROLE annals CONNECTION LIMIT 3'],
    ['ALTER ROLE annals CONNECTION LIMIT -1'],
  ),
]

const pooler: Maker[] = [
  ({ pooler }) => ({ name: 'the pooler is killed', begin: () => pooler?.kill(), end: () => pooler?.start() }),
  ({ pooler }) => ({
    name: 'the pooler is frozen',
    begin: () => pooler?.signal('SIGSTOP'),
    end: () => pooler?.signal('SIGCONT'),
  }),
  reset,
  lostAnswers,
  backendsEnded,
]

export const SCENARIOS = { network, replies, server, locks, refusals, service, pooler } as const
export type Scenario = keyof typeof SCENARIOS | 'all'

export interface FaultOptions {
  scenario: Scenario
  random: Random
  /** By performance.now(). */
  endAt: number
  longestMs: number
  log(line: string): void
}

/** Lets faults happen, one after another with pauses in between, until `endAt`. */
export async function runFaults(
  scene: Scene,
  { scenario, random, endAt, longestMs, log }: FaultOptions,
): Promise<number> {
  // What joined later stays out of `all`, whose seeds would mean other faults.
  const { pooler: _, refusals: __, ...everywhere } = SCENARIOS
  const chosen = scenario === 'all' ? Object.values(everywhere).flat() : SCENARIOS[scenario]
  const makers = chosen.filter((maker) => scene.service !== undefined || !service.includes(maker))
  let count = 0
  for (;;) {
    const maker = random.pick(makers)
    const pauseMs = random.between(100, 1_500)
    const lastsMs = random.pick([50, 300, 1_000, 3_000, 6_000].filter((ms) => ms <= longestMs))
    const fault = maker(scene, random)
    if (performance.now() + pauseMs + lastsMs > endAt) return count
    await sleep(pauseMs)
    log(`${fault.name}, ${lastsMs} ms`)
    count++
    await fault.begin()
    await sleep(lastsMs)
    await fault.end()
  }
}

function held(name: string, sql: string): Maker {
  return ({ cluster }) => {
    let client: pg.Client | undefined
    return {
      name,
      begin: async () => {
        client = new pg.Client({ connectionString: cluster.adminUrl })
        client.on('error', () => {})
        await client.connect()
        await client.query('BEGIN')
        await client.query(sql)
      },
      end: () => client?.end(),
    }
  }
}

/** What an administrator says to the server, and takes back. */
function ordered(name: string, begin: string[], end: string[]): Maker {
  return ({ cluster }) => {
    const say = async (orders: string[]) => {
      for (const order of orders) await runSql(cluster.adminUrl, order)
    }
    return { name, begin: () => say(begin), end: () => say(end) }
  }
}

async function aBackend(cluster: TestCluster, random: Random): Promise<number | undefined> {
  const rows = await runSql<{ pid: number }>(
    cluster.adminUrl,
    `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'annals/%'`,
  )
  return rows.length === 0 ? undefined : random.pick(rows).pid
}

function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended meanwhile.
  }
}
