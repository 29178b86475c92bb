import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { openEventStore, type PostgresEventStore } from '../../../src/index.ts'
import { FaultProxy } from '../../faults/fault-proxy.ts'
import type { StatementFault } from '../../faults/faulty-connection.ts'
import { createTestDatabase, type Teardown } from '../../support/postgres.ts'
import { until } from '../../support/service.ts'

/** A store behind a proxy that counts the batches, and a second session that can lock the head. */
async function open(t: Teardown) {
  const { url } = await createTestDatabase(t)
  const proxy = await FaultProxy.start(t, url)
  const store = await openEventStore({ databaseUrl: proxy.url, maxConnections: 5 })
  t.teardown(() => store.close())
  await store.runMigrations()
  const locker = new pg.Client(url)
  await locker.connect()
  t.teardown(() => locker.end())
  const seen = { batches: 0 }
  const inject = (faultOf: (batch: number) => StatementFault | undefined = () => undefined) => {
    seen.batches = 0
    proxy.inject(({ text }) => (text.includes('annals_append_batch') ? faultOf(++seen.batches) : undefined))
  }
  // A batch can follow one whose statement was prepared before.
  await append(store, 'warm', 3)
  await append(store, 'warm', 3)
  inject()
  return { url, store, locker, seen, inject }
}

/** Appends that leave together. */
const append = (store: PostgresEventStore, streamId: string, count: number) =>
  Promise.all(Array.from({ length: count }, () => store.append(streamId, [{ type: 'A' }])))

/**
 * Two batches of two while the head is locked; `release` is to let them go. `sent`: how many of them are to reach the
 * database before that, where 1 is waited for a while, in case the second does.
 */
async function twoBatches(store: PostgresEventStore, locker: pg.Client, seen: { batches: number }, sent = 2) {
  await locker.query('begin')
  await locker.query('select * from annals_head for update')
  const first = append(store, 'first', 2)
  first.catch(() => {})
  while (seen.batches < 1) await sleep(5)
  await sleep(50)
  const second = append(store, 'second', 2)
  second.catch(() => {})
  if (sent === 2) await until(() => seen.batches === 2)
  else await sleep(300)
  return { first, second, release: () => locker.query('rollback') }
}

const positions = (appended: { position: number }[]): number[] => appended.map(({ position }) => position)

async function checkStore(t: Test, store: PostgresEventStore, events: number) {
  t.equal(await store.head(), events)
  const page = await store.readFeed({ limit: 1000 })
  t.same(
    page.events.map(({ position }) => position),
    Array.from({ length: events }, (_, i) => i + 1),
    'every position once',
  )
}

t.test('a batch is sent behind the one under way, and each is answered for itself', async (t) => {
  const { store, locker, seen } = await open(t)
  const { first, second, release } = await twoBatches(store, locker, seen)
  t.equal(seen.batches, 2, 'both have reached the database')
  await release()
  t.same(positions(await first), [7, 8])
  t.same(positions(await second), [9, 10])
  await checkStore(t, store, 10)
})

t.test('where another process appends too, a batch waits for the answer to the one before', async (t) => {
  const { url, store, locker, seen, inject } = await open(t)
  const another = await openEventStore({ databaseUrl: url })
  t.teardown(() => another.close())
  await another.append('theirs', [{ type: 'A' }])
  await append(store, 'warm', 3)
  inject()
  const shared = await twoBatches(store, locker, seen, 1)
  t.equal(seen.batches, 1)
  await shared.release()
  await Promise.all([shared.first, shared.second])
  // They take turns, if not every time, so it is not alone at once.
  for (let i = 0; i < 8; i++) await append(store, 'alone', 1)
  inject()
  const alone = await twoBatches(store, locker, seen)
  t.equal(seen.batches, 2, 'and no longer when it has stopped')
  await alone.release()
  await Promise.all([alone.first, alone.second])
  await checkStore(t, store, 26)
})

t.test('a batch that fails leaves the one behind it alone', async (t) => {
  const { store, locker, seen, inject } = await open(t)
  inject((batch) => (batch === 1 ? { kind: 'error', when: 'after', sqlState: '55P03' } : undefined))
  // The proxy denies what the server has done; here only the answers matter.
  const { first, second, release } = await twoBatches(store, locker, seen)
  await release()
  await t.rejects(first, { code: 'busy' })
  t.equal((await second).length, 2)
})

t.test('what was sent behind a batch that waits in vain for a lock is told so in its time', async (t) => {
  const { store, locker, seen } = await open(t)
  const { first, second, release } = await twoBatches(store, locker, seen)
  const startedAt = performance.now()
  await t.rejects(first, { code: 'busy' })
  await t.rejects(second, { code: 'busy' })
  t.ok(performance.now() - startedAt < 4_000, 'they do not wait one after the other')
  await release()
  await append(store, 'after', 2)
  await checkStore(t, store, 8)
})

t.test('behind an append whose statement can not be prepared the next one fails as it does', async (t) => {
  const { store, locker } = await open(t)
  await locker.query('begin')
  await locker.query('lock table events in access exclusive mode')
  const first = store.append('first', [{ type: 'A' }])
  first.catch(() => {})
  await sleep(100)
  const second = store.append('second', [{ type: 'A' }])
  second.catch(() => {})
  await t.rejects(first, { code: 'busy' })
  await t.rejects(second, { code: 'busy' })
  await locker.query('rollback')
  t.equal((await store.append('first', [{ type: 'A' }])).version, 1)
})

t.test('when the connection dies both are settled: stored once, answered once', async (t) => {
  for (const delivered of ['nothing', 'all_but_ready'] as const) {
    const { store, locker, seen, inject } = await open(t)
    inject((batch) => (batch === 1 ? { kind: 'die', when: 'after', delivered } : undefined))
    const { first, second, release } = await twoBatches(store, locker, seen)
    t.equal(seen.batches, 2)
    await release()
    const all = [...positions(await first), ...positions(await second)]
    t.same(
      all.toSorted((a, b) => a - b),
      [7, 8, 9, 10],
    )
    await checkStore(t, store, 10)
  }
})

t.test('an id that is stored already among new ones is found, and the others are stored', async (t) => {
  const { store, seen } = await open(t)
  const id = randomUUID()
  const once = await store.append('s', [{ type: 'A', id }])
  for (const round of [1, 2]) {
    const again = Array.from({ length: 20 }, (_, i) =>
      store.append('s', [{ type: 'A', id: i === 9 ? id : randomUUID() }]),
    )
    const answers = await Promise.all(again)
    t.match(answers[9], { position: once.position, version: 1, replayed: true })
    t.equal(answers.filter(({ replayed }) => !replayed).length, 19)
    await checkStore(t, store, 7 + 19 * round)
  }
  t.ok(seen.batches <= 4, 'the second time its id was looked up first')
})
