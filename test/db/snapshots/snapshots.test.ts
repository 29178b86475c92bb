// Snapshots on PostgreSQL: the contract, others who write the same table, and connections that die.

import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { loadSettings } from '../../../src/config.ts'
import { MeasuredPool } from '../../../src/db/connections/pool.ts'
import { poolOptions } from '../../../src/db/connections/pool-options.ts'
import type { PreparedSnapshot, StreamCoverage } from '../../../src/db/snapshots/snapshot-store.ts'
import { SnapshotWatch } from '../../../src/db/snapshots/snapshot-watch.ts'
import { PostgresSnapshots } from '../../../src/db/snapshots/snapshots.ts'
import { openEventStore, type PostgresEventStore } from '../../../src/index.ts'
import { createTestDatabase, type Teardown } from '../../support/postgres.ts'
import { until } from '../../support/service.ts'
import { snapshotContract } from '../../support/snapshot-contract.ts'

interface Bench {
  store: PostgresEventStore
  snapshots: PostgresSnapshots
  /** A connection of somebody else. */
  other: pg.Client
  /** One outside of any transaction, to look on. */
  watcher: pg.Client
}

async function open(t: Teardown, env: Record<string, string> = {}): Promise<Bench> {
  const { url } = await createTestDatabase(t)
  const store = await openEventStore({ databaseUrl: url })
  await store.runMigrations()
  const { settings } = loadSettings({ DATABASE_URL: url, ...env })
  const pool = new MeasuredPool(poolOptions(settings, url, 'annals test of snapshots'))
  const [other, watcher] = [new pg.Client(url), new pg.Client(url)]
  await Promise.all([other.connect(), watcher.connect()])
  t.teardown(async () => {
    await Promise.all([other.end(), watcher.end(), pool.end()])
    await store.close()
  })
  return { store, snapshots: new PostgresSnapshots({ pool, schema: 'public' }), other, watcher }
}

const append = (store: PostgresEventStore, stream: string, count: number) =>
  store.append(
    stream,
    Array.from({ length: count }, () => ({ type: 'A' })),
  )

const prepared = (streamId: string, version: number): PreparedSnapshot => ({
  streamId,
  version,
  data: Buffer.from(`${version}`),
  isJson: true,
  contentType: null,
})

/** Stores as Composable Rust does, which knows four columns. */
const plainly = (client: pg.Client, stream: string, version: number, hex: string) =>
  client.query(
    `INSERT INTO snapshots (stream_id, version, state_data) VALUES ($1, $2, decode($3, 'hex'))
     ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, state_data = excluded.state_data, created_at = now()`,
    [stream, version, hex],
  )

/** The backend of a statement on snapshots that waits for a lock; one that was killed is seen for a while. */
async function waitingBackend(watcher: pg.Client, killed: number[] = []): Promise<number> {
  for (const until = Date.now() + 60_000; Date.now() < until; await sleep(5)) {
    const { rows } = await watcher.query(
      `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> ALL($1)
         AND application_name = 'annals test of snapshots'`,
      [killed],
    )
    if (rows.length > 0) return rows[0].pid as number
  }
  throw new Error('nobody waits for a lock')
}

t.test('snapshots on PostgreSQL keep the contract', async (t) => {
  const { store, snapshots } = await open(t)
  await snapshotContract(t, store, snapshots)
})

t.test('who waits for another writer compares with what that one stored', async (t) => {
  const { store, snapshots, other, watcher } = await open(t)
  await append(store, 'first', 9)
  const race = async (version: number, end: 'COMMIT' | 'ROLLBACK') => {
    await other.query('BEGIN')
    await plainly(other, 'first', 5, '00')
    const saving = snapshots.save(prepared('first', version))
    await waitingBackend(watcher)
    await other.query(end)
    return await saving
  }
  t.same(await race(4, 'COMMIT'), { kind: 'older', storedVersion: 5 }, 'the row was not there when the statement began')
  t.equal((await store.readSnapshot('first'))?.version, 5)
  await other.query(`UPDATE snapshots SET version = 1`)
  t.same(await race(4, 'COMMIT'), { kind: 'older', storedVersion: 5 }, 'the row was an older one')
  t.match(await race(6, 'COMMIT'), { kind: 'saved', isNew: false })
  await store.deleteSnapshot('first')
  t.match(await race(4, 'ROLLBACK'), { kind: 'saved', isNew: true })
  t.equal((await store.readSnapshot('first'))?.version, 4)
})

t.test('what a plain writer stored comes back as bytes, also in place of JSON', async (t) => {
  const { store, snapshots, other } = await open(t)
  await append(store, 's', 3)
  const bytes = { version: 2, state_base64: 'AQAAAAAAAAD/', content_type: 'application/octet-stream' }
  await plainly(other, 's', 2, '0100000000000000ff')
  t.match(await store.readSnapshot('s'), bytes)
  await store.saveSnapshot('s', { version: 2, state: {}, content_type: 'application/vnd.x+json' })
  await plainly(other, 's', 2, '0100000000000000ff')
  t.match(await store.readSnapshot('s'), bytes)
  await plainly(other, 's', 2, '6100')
  t.match((await snapshots.readState({ streamId: 's', limit: 1, maxBytes: 1 })).snapshot, {
    isJson: false,
    data: Buffer.from('a\0'),
  })
})

t.test('a snapshot of a stream that went back counts as none, and makes way', async (t) => {
  const { store, snapshots, other } = await open(t)
  await append(store, 's', 150)
  await store.saveSnapshot('s', { version: 140, state: {} })
  await other.query('SET annals.allow_rewrite = on')
  await other.query(`DELETE FROM events WHERE version > 120`)
  t.equal(await store.readSnapshot('s'), null)
  t.equal(await snapshots.readSummary('s'), null)
  const state = await store.readState('s')
  t.same([state.version, state.snapshot, state.events.length], [120, null, 120])
  t.match(await snapshots.listBehind({ moreThan: 100, limit: 9, maxChecked: 9 }), {
    streams: [{ stream_id: 's', snapshot: null, events_since_snapshot: 120 }],
  })
  t.match(await snapshots.save(prepared('s', 110)), { kind: 'saved', isNew: true })
  t.equal((await store.readSnapshot('s'))?.version, 110)
  await other.query(`DELETE FROM events`)
  t.same(await snapshots.read('s'), { version: 0, snapshot: null }, 'nor is there one without a stream')
  t.equal(await snapshots.delete('s'), false)
})

t.test('a write whose connection dies is sent again, and says so when nobody answers', async (t) => {
  const { store, snapshots, other, watcher } = await open(t)
  await append(store, 's', 9)
  const killed: number[] = []
  const kill = async () => {
    killed.push(await waitingBackend(watcher, killed))
    await watcher.query('SELECT pg_terminate_backend($1)', killed.slice(-1))
  }
  const whileLocked = async (kills: number, write: () => Promise<unknown>) => {
    await other.query('BEGIN')
    await plainly(other, 's', 1, '00')
    const writing = write().catch((error: unknown) => error)
    for (let i = 0; i < kills; i++) await kill()
    await other.query('ROLLBACK')
    return await writing
  }
  t.match(await whileLocked(1, () => snapshots.save(prepared('s', 5))), { kind: 'saved', isNew: true })
  t.equal((await store.readSnapshot('s'))?.version, 5)
  t.match(await whileLocked(2, () => snapshots.save(prepared('s', 6))), { code: 'commit_outcome_unknown' })
  t.match(await whileLocked(2, () => snapshots.delete('s')), { code: 'commit_outcome_unknown' })
  t.equal(await whileLocked(1, () => snapshots.delete('s')), true)
  t.equal(await store.readSnapshot('s'), null)
})

t.test('a lock that is held too long is answered as busy', async (t) => {
  const { store, snapshots, other } = await open(t, { DATABASE_LOCK_TIMEOUT_MS: '50' })
  await append(store, 's', 1)
  await other.query('BEGIN')
  await plainly(other, 's', 1, '00')
  const error = await snapshots.save(prepared('s', 1)).catch((error: unknown) => error)
  await other.query('ROLLBACK')
  t.match(error, { code: 'busy' })
})

t.test('the pages of the coverage together are what a full join finds', async (t) => {
  const { store, snapshots, other } = await open(t)
  // 400 streams of 1 to 400 events each, every third with a snapshot somewhere.
  await other.query(`
    INSERT INTO events (stream_id, version, event_type, event_data, position, event_id)
    SELECT 'stream-' || s, v, 'A', '\\x00', row_number() OVER (), gen_random_uuid()
    FROM generate_series(1, 400) AS s, LATERAL generate_series(1, (s * 7919) % 400 + 1) AS v`)
  await other.query(`UPDATE annals_head SET position = (SELECT max(position) FROM events)`)
  await other.query(`
    INSERT INTO snapshots (stream_id, version, state_data)
    SELECT stream_id, greatest(1, max(version) * (hashtext(stream_id) & 7) / 7), '\\x00' FROM events
    GROUP BY stream_id HAVING hashtext(stream_id) % 3 = 0`)
  // As in the documentation of Composable Rust, in the order of the pages.
  const { rows } = await other.query(`
    SELECT e.stream_id, count(*)::int AS version, s.version::int AS snapshot_version,
      (count(*) - coalesce(s.version, 0))::int AS events_since_snapshot
    FROM events e LEFT JOIN snapshots s ON e.stream_id = s.stream_id
    GROUP BY e.stream_id, s.version HAVING count(*) - coalesce(s.version, 0) > 100 ORDER BY e.stream_id`)
  t.ok(rows.length > 200, 'there is something to find')
  for (const [limit, maxChecked] of [
    [1_000, 10_000],
    [7, 10_000],
    [1_000, 11],
    [5, 13],
  ] as const) {
    const streams: StreamCoverage[] = []
    let checked = 0
    for (let after: string | null = ''; after !== null; ) {
      const page = await snapshots.listBehind({ moreThan: 100, after, limit, maxChecked })
      t.ok(page.streams.length <= limit && page.checked <= maxChecked)
      streams.push(...page.streams)
      checked += page.checked
      after = page.next
    }
    const flat = streams.map(({ snapshot, ...rest }) => ({ ...rest, snapshot_version: snapshot?.version ?? null }))
    t.same(flat, rows, `pages of ${limit}, looking at ${maxChecked}`)
    t.equal(checked, 400, 'every stream was looked at once')
  }
  t.equal((await store.listStreams({ limit: 1_000 })).length, 400)
  const watch = new SnapshotWatch({ snapshots, moreThan: 100, intervalMs: 20, pageStreams: 100 })
  t.teardown(() => watch.stop())
  t.equal(watch.known, undefined)
  watch.start()
  await until(() => watch.known !== undefined)
  const largestLag = Math.max(...rows.map(({ events_since_snapshot }) => events_since_snapshot as number))
  t.match(watch.known, { streams: 400, behind: rows.length, largestLag })
  await append(store, 'stream-new', 500)
  await until(() => watch.known?.streams === 401)
  t.match(watch.known, { streams: 401, behind: rows.length + 1, largestLag: 500 })
})
