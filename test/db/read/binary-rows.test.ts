import type pg from 'pg'
import t from 'tap'
import { loadSettings } from '../../../src/config.ts'
import { MeasuredPool } from '../../../src/db/connections/pool.ts'
import { poolOptions } from '../../../src/db/connections/pool-options.ts'
import type { PageText, Separator } from '../../../src/db/event-log.ts'
import { eventLogOptions, PostgresEventLog, UNOBSERVED } from '../../../src/db/postgres-event-log.ts'
import { divertRows, RowTap } from '../../../src/db/protocol/row-tap.ts'
import type { Statement } from '../../../src/db/statement.ts'
import { openEventStore } from '../../../src/index.ts'
import { FaultProxy } from '../../faults/fault-proxy.ts'
import type { StatementFault } from '../../faults/faulty-connection.ts'
import { createTestDatabase, type Teardown } from '../../support/postgres.ts'

/** A message of PostgreSQL. */
function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

t.test('rows go to who wants them and all else to pg, wherever the bytes are cut', async (t) => {
  const rows = [Buffer.from([0, 1, 0xff, 0x80]), Buffer.alloc(0), Buffer.alloc(300, 'D')]
  const others = [message('2', Buffer.alloc(0)), message('N', Buffer.alloc(40, 'D')), message('Z', Buffer.from('I'))]
  const [first, second, third] = rows.map((row) => message('D', row)) as [Buffer, Buffer, Buffer]
  const [bind, notice, ready] = others as [Buffer, Buffer, Buffer]
  const all = Buffer.concat([bind, first, second, notice, third, ready])
  for (let size = 1; size <= all.length; size++) {
    for (const isDiverted of [true, false]) {
      const passed: Buffer[] = []
      const taken: Buffer[] = []
      const tap = new RowTap()
      const take = tap.before('data', (chunk) => passed.push(Buffer.from(chunk)))
      if (isDiverted) {
        const row = (data: Buffer, start: number) =>
          taken.push(Buffer.from(data.subarray(start, start - 4 + data.readUInt32BE(start - 4))))
        tap.receiver = { row }
      }
      for (let at = 0; at < all.length; at += size) take(all.subarray(at, at + size))
      t.same(Buffer.concat(passed), isDiverted ? Buffer.concat(others) : all, `in pieces of ${size}`)
      t.same(taken, isDiverted ? rows : [])
    }
  }
})

t.test('a row that comes in many pieces is put together once', async (t) => {
  const row = message('D', Buffer.alloc(10_000, 'x'))
  const joined = t.capture(Buffer, 'concat', Buffer.concat)
  const tap = new RowTap()
  const take = tap.before('data', () => t.fail('it goes to who wants it'))
  let rows = 0
  tap.receiver = { row: (data, start) => (rows += data.subarray(start).equals(row.subarray(5)) ? 1 : 0) }
  for (let at = 0; at < row.length; at += 100) take(row.subarray(at, at + 100))
  t.equal(rows, 1)
  t.equal(joined().length, 1, 'copying it with each piece would take a second for the largest events')
})

t.test('a connection without a tap is refused', async (t) => {
  t.throws(() => divertRows({} as pg.Connection, undefined), { message: /no tap/ })
})

function openPool(t: Teardown, url: string) {
  const { settings } = loadSettings({ DATABASE_MAX_CONNECTIONS: '1', DATABASE_MIN_CONNECTIONS: '1' })
  const pool = new MeasuredPool(poolOptions(settings, url, 'test'))
  t.teardown(() => pool.end())
  return pool
}

/** The only field of each row. */
async function fields(pool: MeasuredPool, statement: Statement, look = (_field: Buffer) => {}): Promise<Buffer[]> {
  const found: Buffer[] = []
  const row = (data: Buffer, start: number) => {
    const length = data.readInt32BE(start + 2)
    found.push(Buffer.from(data.subarray(start + 6, start + 6 + length)))
    look(found.at(-1) as Buffer)
  }
  await pool.rows(statement, () => ({ row }))
  return found
}

t.test('rows come as bytes, and the connection is good for anything else afterwards', async (t) => {
  const pool = openPool(t, (await createTestDatabase(t)).url)
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const echo: Statement = {
    name: 'echo',
    text: 'SELECT $1::bytea FROM generate_series(1, $2::int)',
    values: [bytes, '3'],
  }
  for (let round = 0; round < 3; round++) {
    t.same(await fields(pool, echo), [bytes, bytes, bytes])
    t.same((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }])
    t.same(await fields(pool, { ...echo, values: [bytes, '0'] }), [])
    t.same(await fields(pool, { text: "SELECT decode(repeat('ff', 200000), 'hex')", values: [] }), [
      Buffer.alloc(200_000, 0xff),
    ])
  }
  const failing = { text: 'SELECT int8send(1 / (2 - i)) FROM generate_series(1, 3) AS i', values: [] }
  await t.rejects(fields(pool, failing), { code: '22012' })
  await t.rejects(fields(pool, { text: 'SELECT no_such_column', values: [] }), { code: '42703' })
  let looks = 0
  const refuse = () => {
    looks++
    throw new Error('not so')
  }
  await t.rejects(fields(pool, echo, refuse), { message: 'not so' })
  t.equal(looks, 1, 'what follows a failure is not looked at')
  t.same((await pool.query('SELECT 2 AS two')).rows, [{ two: 2 }])
  t.equal(pool.stats().errors, 0)
  t.equal(pool.stats().size, 1)
})

t.test('a read whose connection dies is sent once more, and has its events once', async (t) => {
  const { url } = await createTestDatabase(t)
  const proxy = await FaultProxy.start(t, url)
  const store = await openEventStore({ databaseUrl: url })
  t.teardown(() => store.close())
  await store.runMigrations()
  await store.append(
    's',
    Array.from({ length: 3 }, (_, i) => ({ type: 'A', data: { i } })),
  )
  const { settings } = loadSettings({})
  const pool = openPool(t, proxy.url)
  const log = new PostgresEventLog({ ...eventLogOptions(settings), pool, observer: UNOBSERVED })
  const read = () => log.readStreamText({ streamId: 's', direction: 'forward', limit: 10, maxBytes: 1e6 }, ',')
  // The first read asks for the size of the largest event too.
  await read()
  const whole = await read()
  t.match(whole, { head: 3, count: 3, last: 3 })
  for (const fault of [
    { kind: 'die', when: 'before' },
    { kind: 'die', when: 'after', delivered: 'nothing' },
    { kind: 'die', when: 'after', delivered: 'all_but_ready' },
  ] satisfies StatementFault[]) {
    let seen = 0
    proxy.inject(({ text }) => (text.includes('unnest') && seen++ === 0 ? fault : undefined))
    t.same(await read(), whole, JSON.stringify(fault))
    t.equal(seen, 2)
  }
})

t.test('a page is no longer than it may be, also when larger events came than the last one told of', async (t) => {
  const { url } = await createTestDatabase(t)
  const store = await openEventStore({ databaseUrl: url })
  t.teardown(() => store.close())
  await store.runMigrations()
  const pool = openPool(t, url)
  const { settings } = loadSettings({})
  const small = { direction: 'forward', limit: 100, maxBytes: 100_000 } as const
  const stream = (log: PostgresEventLog, separator: Separator) => (from: number) =>
    log.readStreamText({ ...small, streamId: 's', fromVersion: from }, separator)
  const ways: Record<string, (log: PostgresEventLog) => (from: number) => Promise<PageText>> = {
    'by the statement for several': (log) => stream(log, ','),
    'of a stream as lines': (log) => stream(log, '\n'),
    'of the feed as lines': (log) => (from) => log.readFeedText({ ...small, after: from - 1 }, '\n'),
  }
  await store.append('s', [{ type: 'A', data: 'small' }])
  const reads = Object.entries(ways).map(([name, way]) => {
    const log = new PostgresEventLog({ ...eventLogOptions(settings), pool, observer: UNOBSERVED })
    return { name, read: way(log) }
  })
  for (const { read } of reads) for (let i = 0; i < 2; i++) t.match(await read(1), { count: 1, isFull: false })
  const data = 'x'.repeat(20_000)
  for (let i = 0; i < 2; i++) await store.append('s', Array(35).fill({ type: 'A', data }))
  for (const { name, read } of reads) {
    let events = 0
    for (let page = await read(1); ; page = await read(events + 1)) {
      events += page.count
      t.equal(page.last, events, name)
      t.ok(page.json.length < 130_000, `${name}: ${page.json.length} bytes`)
      if (!page.isFull) break
    }
    t.equal(events, 71)
  }
})
