import { randomUUID } from 'node:crypto'
import pg from 'pg'
import t from 'tap'
import { loadSettings } from '../../src/config.ts'
import { MeasuredPool } from '../../src/db/connections/pool.ts'
import { poolOptions } from '../../src/db/connections/pool-options.ts'
import type { PageText, StreamQuery } from '../../src/db/event-log.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { eventLogOptions, PostgresEventLog, UNOBSERVED } from '../../src/db/postgres-event-log.ts'
import { openEventStore, type PostgresEventStore } from '../../src/index.ts'
import { FaultProxy } from '../faults/fault-proxy.ts'
import { eventStoreContract } from '../support/event-store-contract.ts'
import { createTestDatabase, type Teardown } from '../support/postgres.ts'
import { until } from '../support/service.ts'

async function openStore(t: Teardown, schema = 'public'): Promise<{ store: PostgresEventStore; url: string }> {
  const { url } = await createTestDatabase(t)
  const store = await openEventStore({ databaseUrl: url, schema, maxConnections: 5 })
  await store.runMigrations()
  t.teardown(() => store.close())
  return { store, url }
}

async function connect(t: Teardown, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end())
  return client
}

t.test('the store on PostgreSQL keeps the contract', async (t) => {
  const { store } = await openStore(t)
  await eventStoreContract(t, store)
})

t.test('one store follows what another one stores, also when all its connections are cut', async (t) => {
  const { store, url } = await openStore(t)
  const other = await openEventStore({ databaseUrl: url })
  const client = await connect(t, url)
  const following = other.follow()
  for (let version = 1; version <= 30; version++) {
    const next = following.next()
    if (version % 10 === 0) {
      await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()`,
      )
    }
    await store.append('s', [{ type: 'A' }])
    t.equal((await next).value?.version, version)
  }
  const next = following.next()
  await other.close()
  t.same(await next, { value: undefined, done: true }, 'the end of the store is that of who follows')
  const listening = `select 1 from pg_stat_activity where application_name like '% listen' and datname = current_database()`
  await until(async () => (await client.query(listening)).rows.length === 0)
  t.pass('and of its LISTEN connection')
})

t.test('two schemas of one database are two stores', async (t) => {
  const { store, url } = await openStore(t, 'store_a')
  const other = await openEventStore({ databaseUrl: url, schema: 'store_b' })
  t.teardown(() => other.close())
  await other.runMigrations()
  await store.append('s', [{ type: 'A' }])
  t.same([await store.head(), await other.head()], [1, 0])
  t.equal((await other.append('s', [{ type: 'B' }])).position, 1)
})

t.test('positions are contiguous and in commit order under parallel writers, also by plain SQL', async (t) => {
  const { store, url } = await openStore(t)
  const second = await openEventStore({ databaseUrl: url })
  t.teardown(() => second.close())
  const client = await connect(t, url)
  const plain = async () => {
    for (let i = 1; i <= 50; i++) {
      await client.query(
        `insert into events (stream_id, version, event_type, event_data) values ('plain', $1, 'P', '\\x00')`,
        [i],
      )
    }
  }
  const seen: number[] = []
  let isDone = false
  const follow = async () => {
    for (let after = 0; ; ) {
      const last = isDone
      const { events } = await second.readFeed({ after, limit: 1000 })
      for (const event of events) seen.push(event.position)
      after = events.at(-1)?.position ?? after
      if (last && events.length === 0) return
    }
  }
  const writers = Array.from({ length: 200 }, (_, i) =>
    (i % 2 === 0 ? store : second).append(`s${i % 7}`, [{ type: 'A' }]),
  )
  const following = follow()
  await Promise.all([...writers, plain()])
  isDone = true
  await following
  t.same(
    seen,
    Array.from({ length: 250 }, (_, i) => i + 1),
    'a reader misses nothing and repeats nothing',
  )
  const { rows } = await client.query(
    'select count(*)::int as n from (select stream_id from events group by 1 having max(version) <> count(*)) x',
  )
  t.equal(rows[0].n, 0, 'versions are contiguous')
  t.match((await store.readStream('plain', { limit: 1 })).events[0], {
    data_base64: 'AA==',
    content_type: 'application/octet-stream',
  })
})

t.test('an answer of the commit that never comes is settled: stored once, answered once', async (t) => {
  const { store, url } = await openStore(t)
  const client = await connect(t, url)
  // The head is locked by another session, so an append hangs inside the database; its backend is then ended.
  for (const hasId of [true, false]) {
    await client.query('begin')
    await client.query('select * from annals_head for update')
    const head = await store.head()
    const appending = store.append(`settle-${hasId}`, [{ type: 'A', ...(hasId ? { id: randomUUID() } : {}) }])
    const waiting = `select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
    let pid: number | undefined
    while (pid === undefined) pid = (await client.query(waiting)).rows[0]?.pid
    await client.query('select pg_terminate_backend($1)', [pid])
    await client.query('rollback')
    const appended = await appending
    t.match(appended, { first_version: 1, version: 1, position: head + 1 })
    t.equal(await store.head(), head + 1)
  }
})

t.test('what a proxy says of a backend that had done its work is not believed', async (t) => {
  const { url } = await openStore(t)
  const proxy = await FaultProxy.start(t, url)
  const store = await openEventStore({ databaseUrl: proxy.url })
  t.teardown(() => store.close())
  proxy.inject(({ text }) =>
    /annals_append|UPDATE \S+annals_head/.test(text)
      ? { kind: 'error', when: 'after', sqlState: '57P01', severity: 'FATAL' }
      : undefined,
  )
  t.match(await store.append('s', [{ type: 'A' }]), { version: 1, position: 1 })
  t.match(await store.append('s', [{ id: randomUUID(), type: 'B' }]), { version: 2, position: 2 })
  t.equal(await store.head(), 2)
})

t.test('a head that stays locked is busy, and nothing is stored', async (t) => {
  const { store, url } = await openStore(t)
  const client = await connect(t, url)
  await client.query('begin')
  await client.query('select * from annals_head for update')
  const startedAt = performance.now()
  await t.rejects(store.append('s', [{ type: 'A' }]), { code: 'busy', status: 503 })
  t.ok(performance.now() - startedAt < 7_500, 'within the time of a request')
  await client.query('rollback')
  t.equal(await store.head(), 0)
  await store.append('s', [{ type: 'A' }])
})

t.test('a pool without a free connection is exhausted, and the store recovers', async (t) => {
  const { url } = await createTestDatabase(t)
  const store = await openEventStore({ databaseUrl: url, maxConnections: 1 })
  t.teardown(() => store.close())
  await store.runMigrations()
  const client = await connect(t, url)
  await client.query('begin')
  await client.query('lock table events in access exclusive mode')
  const reading = store.readFeed().catch((error: { code: string }) => error.code)
  await t.rejects(store.append('s', [{ type: 'A' }]), { code: /pool_exhausted|busy/ })
  t.match(await reading, /busy|timeout/)
  await client.query('rollback')
  t.equal((await store.append('s', [{ type: 'A' }])).version, 1)
})

t.test('a page ends where it becomes too large, and the next one goes on from there', async (t) => {
  const { store } = await openStore(t)
  await store.append('s', [{ type: 'Small' }, { type: 'Small' }])
  t.equal((await store.readFeed({ limit: 1000 })).events.length, 2, 'all are known to be small')
  const large = 'x'.repeat(1024 * 1024 - 2)
  for (let i = 0; i < 5; i++)
    await store.append(
      's',
      Array.from({ length: 4 }, () => ({ type: 'Large', data: large })),
    )
  for (const read of [
    async (after: number) => (await store.readFeed({ after, limit: 1000 })).events.map(({ position }) => position),
    async (after: number) =>
      (await store.readStream('s', { from_version: after + 1, limit: 1000 })).events.map(({ version }) => version),
  ]) {
    await read(0)
    const first = await read(0)
    t.ok(first.length > 10 && first.length < 22, `${first.length} of 22 events`)
    t.same(
      [...first, ...(await read(first.at(-1) as number))],
      Array.from({ length: 22 }, (_, i) => i + 1),
    )
  }
})

t.test('a store that is not migrated says so', async (t) => {
  const { url } = await createTestDatabase(t)
  const store = await openEventStore({ databaseUrl: url })
  t.teardown(() => store.close())
  await t.rejects(store.append('s', [{ type: 'A' }]), { code: 'database_misconfigured' })
  await t.rejects(store.readFeed(), { code: 'database_misconfigured' })
  await t.rejects(openEventStore({ databaseUrl: 'postgres://nobody@127.0.0.1:1/x' }), { code: 'database_unavailable' })
})

t.test('a page as bytes holds the very lines that PostgreSQL makes, however it is read', async (t) => {
  const { url } = await createTestDatabase(t)
  await runMigrations(url)
  const client = await connect(t, url)
  await client.query(
    `INSERT INTO events (stream_id, version, event_type, event_data, is_json, content_type, metadata, created_at)
     SELECT s.id, v, CASE v % 3 WHEN 0 THEN 'Plain' WHEN 1 THEN E'with "quotes" and \\\\' ELSE 'größer 😀' END,
       CASE WHEN v % 4 = 0 THEN decode(repeat('00ff', v), 'hex') ELSE convert_to('{"n":' || v || ',"t":"é😀"}', 'UTF8') END,
       v % 4 <> 0, CASE v % 5 WHEN 0 THEN 'application/json; charset="utf-8"' END,
       CASE v % 2 WHEN 0 THEN jsonb_build_object('a', v, 'b', E'"\\\\ü') END,
       CASE v % 7 WHEN 0 THEN '1999-12-31 23:59:59.000001+00'::timestamptz WHEN 1 THEN '2026-01-01 00:00:00+00'::timestamptz WHEN 2 THEN 'infinity'
         WHEN 3 THEN '0001-01-01 00:00:00.000007+00' WHEN 4 THEN '9999-12-31 23:59:59.999999+00' ELSE now() END
     FROM (VALUES ('short', 10), (E'it''s "long" \\\\ 😀', 90), ('NULL', 1), ('{a,b}', 2)) AS s (id, length), generate_series(1, s.length) AS v ORDER BY s.id, v`,
  )
  const pool = new MeasuredPool(poolOptions(loadSettings({}).settings, url, 'test'))
  t.teardown(() => pool.end())
  const log = new PostgresEventLog({ ...eventLogOptions(loadSettings({}).settings), pool, observer: UNOBSERVED })
  const maxBytes = 1e9
  const ids = (await log.listStreams({ limit: 10 })).map(({ stream_id }) => stream_id)
  t.same(ids, ['NULL', 'it\'s "long" \\ 😀', 'short', '{a,b}'])
  const queries = [...ids, 'missing'].flatMap((streamId) =>
    (['forward', 'backward'] as const).flatMap((direction) =>
      [{}, { fromVersion: 20 }, { fromVersion: 95 }, { toVersion: 40 }, { fromVersion: 90 }].flatMap((bounds) =>
        [1, 16, 17, 50, 90, 1_000].map((limit) => ({ streamId, direction, limit, maxBytes, ...bounds })),
      ),
    ),
  )
  const compare = async (query: StreamQuery, page: PageText, how: string) => {
    const { version, events, isFull } = await log.readStream(query)
    t.same(
      { ...page, json: page.json.toString(), isFull: undefined },
      {
        head: version,
        json: events.map(({ json }) => `${json},`).join(''),
        count: events.length,
        last: events.at(-1)?.at,
        isFull: undefined,
      },
      `${how}: ${JSON.stringify(query)}`,
    )
    // At the end of the stream it makes no difference whether the page says that more may follow.
    if (page.last !== version && page.last !== 1 && page.last !== 40)
      t.equal(page.isFull, isFull, JSON.stringify(query))
  }
  const readsOfStatements: number[] = []
  const rows = pool.rows.bind(pool)
  pool.rows = (statement, receiver) => {
    readsOfStatements.push(String(statement.values[1]).split(',').length)
    return rows(statement, receiver)
  }
  for (let round = 0; round < 2; round++) {
    for (const query of queries) await compare(query, await log.readStreamText(query, ','), 'alone')
    t.same(new Set(readsOfStatements.splice(0)), new Set([1]))
    const pages = await Promise.all(queries.map((query) => log.readStreamText(query, ',')))
    for (const [n, query] of queries.entries()) await compare(query, pages[n] as PageText, 'with others')
    t.ok(readsOfStatements.splice(0).some((reads) => reads > 1))
    for (const query of [{ after: 0 }, { after: 50, upTo: 70 }, { after: 100 }, { before: 30 }]) {
      for (const limit of [1, 100, 1_000]) {
        const direction = 'before' in query ? 'backward' : 'forward'
        const { head, events, isFull } = await log.readFeed({ ...query, direction, limit, maxBytes })
        const page = await log.readFeedText({ ...query, direction, limit, maxBytes }, '\n')
        t.equal(page.json.toString(), events.map(({ json }) => `${json}\n`).join(''))
        t.same([page.head, page.count, page.last, page.isFull], [head, events.length, events.at(-1)?.at, isFull])
      }
    }
  }
})
