// What every event store has to do, whatever keeps the events: run against PostgreSQL and against memory.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { AppError } from '../../src/errors.ts'
import type { FollowOptions } from '../../src/library/queries.ts'
import type { NewEvent, StoredEvent } from '../../src/library/values.ts'
import type { EventStore } from '../../src/library.ts'

const code = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise
  } catch (error) {
    return (error as AppError).code
  }
  return 'no error'
}

const failedWith = async (promise: Promise<unknown>): Promise<AppError> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error as AppError,
  )

/** The next `count` events of an iteration, which then ends. */
async function take(events: AsyncIterable<StoredEvent>, count: number): Promise<StoredEvent[]> {
  const taken: StoredEvent[] = []
  for await (const event of events) if (taken.push(event) === count) break
  return taken
}

const versions = (events: StoredEvent[]) => events.map(({ version }) => version)
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

let streams = 0
const newStream = () => `contract-${++streams}`

/** Runs the suite; `store` is shared, every test uses streams of its own. */
export async function eventStoreContract(t: Test, store: EventStore): Promise<void> {
  await t.test('an append gives contiguous versions and positions', async (t) => {
    const stream = newStream()
    const head = await store.head()
    const first = await store.append(stream, [{ type: 'A', data: { n: 1 } }, { type: 'B' }])
    t.match(first, { stream_id: stream, first_version: 1, version: 2, first_position: head + 1, position: head + 2 })
    t.equal(first.event_ids.length, 2)
    t.match(first.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    const second = await store.append(stream, [{ type: 'C' }])
    t.match(second, { first_version: 3, version: 3, position: head + 3, replayed: false })
    t.equal(await store.head(), head + 3)
  })

  await t.test('what went in comes out', async (t) => {
    const stream = newStream()
    await store.append(stream, [
      { type: 'JSON', data: { text: 'ü\n"\\', list: [1, null, true], __proto__x: {} }, metadata: { who: 'ü' } },
      { type: 'Null' },
      { type: 'Bytes', data_base64: 'AAH/', content_type: 'image/x' },
      { type: 'Text', data: 'x', content_type: 'application/vnd.x+json' },
    ])
    const { events, version } = await store.readStream(stream)
    t.equal(version, 4)
    t.match(events[0], {
      data: { text: 'ü\n"\\', list: [1, null, true], __proto__x: {} },
      content_type: 'application/json',
      metadata: { who: 'ü' },
    })
    t.match(events[1], { data: null, metadata: null, content_type: 'application/json' })
    t.match(events[2], { data_base64: 'AAH/', content_type: 'image/x' })
    t.notOk('data' in (events[2] as object))
    t.match(events[3], { data: 'x', content_type: 'application/vnd.x+json' })
    t.same(await store.readEvent(events[2]?.id as string), events[2])
    t.equal(await store.readEvent(randomUUID()), null)
  })

  await t.test('expected versions hold or refuse with the current version', async (t) => {
    const stream = newStream()
    t.equal(await code(store.append(stream, [{ type: 'A' }], 'exists')), 'version_conflict')
    t.equal(await code(store.append(stream, [{ type: 'A' }], 1)), 'version_conflict')
    await store.append(stream, [{ type: 'A' }], 0)
    const error = await failedWith(store.append(stream, [{ type: 'A' }], 0))
    t.match(error, { code: 'version_conflict', status: 409 })
    t.same(error.members, { stream_id: stream, expected_version: 0, current_version: 1 })
    await store.append(stream, [{ type: 'A' }], 1)
    await store.append(stream, [{ type: 'A' }], 'exists')
    t.equal((await store.readStreamInfo(stream))?.version, 3)
  })

  await t.test('a retry answers as the first time, whatever it expects', async (t) => {
    const stream = newStream()
    const events: NewEvent[] = [
      { id: randomUUID(), type: 'A', data: { a: 1, b: [1.5, 'x'] }, metadata: { m: 1, n: 2 } },
      { id: randomUUID(), type: 'B', data_base64: 'AAAA' },
    ]
    const first = await store.append(stream, events, 0)
    await store.append(stream, [{ type: 'C' }])
    const again = [{ ...events[0], data: { b: [1.5, 'x'], a: 1 }, metadata: { n: 2, m: 1 } }, events[1]] as NewEvent[]
    t.same(await store.append(stream, again, 0), { ...first, replayed: true })
    t.same(await store.append(stream, events, 17), { ...first, replayed: true })
    t.same(await store.append(stream, [events[1] as NewEvent]), {
      ...first,
      first_version: 2,
      first_position: first.position,
      event_ids: first.event_ids.slice(1),
      replayed: true,
    })
    t.equal((await store.readStreamInfo(stream))?.version, 3)
  })

  await t.test('a stored id in any other request is refused and named', async (t) => {
    const stream = newStream()
    const [a, b] = [randomUUID(), randomUUID()]
    await store.append(stream, [
      { id: a, type: 'A', data: { n: 1 } },
      { id: b, type: 'B' },
    ])
    const head = await store.head()
    const refused: [string, NewEvent[]][] = [
      [stream, [{ id: a, type: 'A', data: { n: 2 } }]],
      [stream, [{ id: a, type: 'X', data: { n: 1 } }]],
      [stream, [{ id: a, type: 'A', data: { n: 1 }, metadata: {} }]],
      [stream, [{ id: a, type: 'A', data: { n: 1 }, content_type: 'application/x+json' }]],
      [stream, [{ id: a, type: 'A', data_base64: Buffer.from('{"n":1}').toString('base64') }]],
      [newStream(), [{ id: a, type: 'A', data: { n: 1 } }]],
      [
        stream,
        [
          { id: b, type: 'B' },
          { id: a, type: 'A', data: { n: 1 } },
        ],
      ],
      [stream, [{ id: a, type: 'A', data: { n: 1 } }, { type: 'New' }]],
    ]
    for (const [stream, events] of refused) {
      const error = await failedWith(store.append(stream, events))
      t.match(error, { code: 'event_id_reused', status: 422 }, JSON.stringify(events))
      t.ok((error.members['event_ids'] as string[]).includes(events[0]?.id as string))
    }
    t.equal(await store.head(), head, 'nothing was stored')
  })

  await t.test('an append to several streams is stored whole or not at all', async (t) => {
    const [a, b, c] = [newStream(), newStream(), newStream()] as [string, string, string]
    const results = await store.appendToStreams([
      { stream_id: a, expected_version: 0, events: [{ type: 'A' }, { type: 'A' }] },
      { stream_id: b, events: [{ type: 'B' }] },
    ])
    t.match(results, [
      { stream_id: a, version: 2 },
      { stream_id: b, first_version: 1 },
    ])
    t.equal(results[1]?.first_position, (results[0]?.position as number) + 1)
    const head = await store.head()
    const error = await failedWith(
      store.appendToStreams(
        [
          { stream_id: a, expected_version: 1, events: [{ type: 'A' }] },
          { stream_id: c, events: [{ type: 'C' }] },
          { stream_id: b, expected_version: 0, events: [{ type: 'B' }] },
        ],
        [
          { stream_id: a, expected_version: 2 },
          { stream_id: c, expected_version: 'exists' },
        ],
      ),
    )
    t.equal(error.code, 'version_conflict')
    t.same(error.members['failed'], [
      { index: 0, kind: 'append', stream_id: a, expected_version: 1, current_version: 2 },
      { index: 2, kind: 'append', stream_id: b, expected_version: 0, current_version: 1 },
      { index: 1, kind: 'check', stream_id: c, expected_version: 'exists', current_version: 0 },
    ])
    t.equal(await store.head(), head)
    t.equal(await store.readStreamInfo(c), null)
  })

  await t.test('a retry of an append to several streams is recognised as a whole', async (t) => {
    const [a, b] = [newStream(), newStream()]
    const appends = [
      { stream_id: a as string, expected_version: 0 as const, events: [{ id: randomUUID(), type: 'A' }] },
      { stream_id: b as string, expected_version: 0 as const, events: [{ id: randomUUID(), type: 'B' }] },
    ]
    const first = await store.appendToStreams(appends)
    t.same(
      await store.appendToStreams(appends),
      first.map((each) => ({ ...each, replayed: true })),
    )
    const mixed = [
      appends[0] as (typeof appends)[0],
      { stream_id: b as string, events: [{ id: randomUUID(), type: 'B' }] },
    ]
    t.equal(await code(store.appendToStreams(mixed)), 'event_id_reused')
  })

  await t.test('streams are read in both directions, from a version, by type', async (t) => {
    const stream = newStream()
    await store.append(
      stream,
      Array.from({ length: 7 }, (_, i) => ({ type: i % 2 === 0 ? 'Even' : 'Odd', data: i })),
    )
    const versions = async (options: Parameters<EventStore['readStream']>[1]) =>
      (await store.readStream(stream, options)).events.map(({ version }) => version)
    t.same(await versions({ limit: 3 }), [1, 2, 3])
    t.same(await versions({ from_version: 6 }), [6, 7])
    t.same(await versions({ from_version: 8 }), [])
    t.same(await versions({ direction: 'backward', limit: 2 }), [7, 6])
    t.same(await versions({ direction: 'backward', from_version: 2 }), [2, 1])
    t.same(await versions({ types: ['Odd'] }), [2, 4, 6])
    t.same(await store.readStream(newStream()), { version: 0, events: [] })
  })

  await t.test('the feed has every event once, in order, and filters combine', async (t) => {
    const start = await store.head()
    const prefix = newStream()
    await store.append(`${prefix}-a`, [{ type: 'X', metadata: { k: 'v', n: 1 } }, { type: 'Y' }])
    await store.append(`${prefix}-b`, [{ type: 'X', metadata: { k: 'w' } }])
    await store.append(newStream(), [{ type: 'X', metadata: { k: 'v' } }])
    const positions = async (options: Parameters<EventStore['readFeed']>[0]) =>
      (await store.readFeed({ after: start, ...options })).events.map(({ position }) => position - start)
    t.same(await positions({}), [1, 2, 3, 4])
    t.same(await positions({ limit: 2 }), [1, 2])
    t.same(await positions({ types: ['X'] }), [1, 3, 4])
    t.same(await positions({ types: ['X', 'Y'], stream_prefix: prefix }), [1, 2, 3])
    t.same(await positions({ metadata: { k: 'v' } }), [1, 4])
    t.same(await positions({ metadata: { k: 'v' }, stream_prefix: prefix }), [1])
    t.same(await positions({ metadata: { n: '1' } }), [], 'only text members are compared')
    t.same(await positions({ until: '2001-01-01T00:00:00Z' }), [])
    t.same(await positions({ since: '2001-01-01T00:00:00Z', types: ['Y'] }), [2])
    const backwards = await store.readFeed({ direction: 'backward', before: start + 4, limit: 2 })
    t.same(
      backwards.events.map(({ position }) => position - start),
      [3, 2],
    )
    t.equal(backwards.head, start + 4)
  })

  await t.test('streams are listed in byte order', async (t) => {
    const prefix = `${newStream()}-`
    const ids = ['Z', 'a', 'b/c', 'ä', '𝄞', '￿'].map((name) => prefix + name)
    for (const id of [...ids].reverse()) await store.append(id, [{ type: 'A' }])
    const listed = await store.listStreams({ prefix })
    t.same(
      listed.map(({ stream_id }) => stream_id),
      ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    )
    const after = listed[1]?.stream_id as string
    t.same(await store.listStreams({ prefix, after, limit: 2 }), listed.slice(2, 4))
    t.same(await store.listStreams({ prefix: `${prefix}none` }), [])
  })

  await t.test('parallel appends without a condition all succeed, each with a version of its own', async (t) => {
    const stream = newStream()
    const results = await Promise.all(Array.from({ length: 200 }, () => store.append(stream, [{ type: 'A' }])))
    t.same(
      results.map(({ version }) => version).sort((a, b) => a - b),
      Array.from({ length: 200 }, (_, i) => i + 1),
    )
  })

  await t.test('of parallel first appends one succeeds', async (t) => {
    const stream = newStream()
    const codes = await Promise.all(Array.from({ length: 50 }, () => code(store.append(stream, [{ type: 'A' }], 0))))
    t.equal(codes.filter((each) => each === 'no error').length, 1)
    t.equal(codes.filter((each) => each === 'version_conflict').length, 49)
  })

  await t.test('the same append sent 50 times in parallel is stored once and answered alike', async (t) => {
    const stream = newStream()
    const event = { id: randomUUID(), type: 'A', data: { n: 1 } }
    const results = await Promise.all(Array.from({ length: 50 }, () => store.append(stream, [event], 0)))
    t.equal(new Set(results.map(({ position }) => position)).size, 1)
    t.equal(results.filter(({ replayed }) => !replayed).length, 1)
    t.equal((await store.readStreamInfo(stream))?.version, 1)
  })

  await t.test('bad events are refused with the place and the rule', async (t) => {
    const refused: [unknown, string, string][] = [
      [[], '/events', '1_to_1000_items'],
      [[{}], '/events/0/type', 'required'],
      [[{ type: 'a\u0000' }], '/events/0/type', 'event_type'],
      [[{ type: 'A', id: 'X' }], '/events/0/id', 'lower_case_uuid'],
      [[{ type: 'A', extra: 1 }], '/events/0/extra', 'unknown_member'],
      [[{ type: 'A', data: 1, data_base64: '' }], '/events/0', 'data_or_data_base64'],
      [[{ type: 'A', data_base64: 'AB' }], '/events/0/data_base64', 'base64'],
      [[{ type: 'A', content_type: 'text/plain' }], '/events/0/content_type', 'json_media_type'],
      [[{ type: 'A', metadata: [] }], '/events/0/metadata', 'object_or_null'],
    ]
    for (const [events, pointer, rule] of refused) {
      const error = await failedWith(store.append(newStream(), events as NewEvent[]))
      t.match(error, { code: 'validation_failed', members: { errors: [{ pointer, rule }] } }, JSON.stringify(events))
    }
    t.equal(await code(store.append('.', [{ type: 'A' }])), 'stream_id_invalid')
    t.equal(await code(store.append('a'.repeat(256), [{ type: 'A' }])), 'stream_id_invalid')
    t.equal(await code(store.append(newStream(), [{ type: 'A', data: '\u0000' }])), 'unstorable_value')
    t.equal(await code(store.append(newStream(), [{ type: 'A', data: '\ud800' }])), 'unstorable_value')
  })

  await t.test('any JSON value is stored and comes back equal', async (t) => {
    const storable = fc
      .jsonValue({ maxDepth: 6 })
      .filter((value) => !JSON.stringify(value).includes('\\u0000') && JSON.stringify(value).isWellFormed())
      .filter((value) => !/\\ud[89a-f]/i.test(JSON.stringify(value)))
    await fc.assert(
      fc.asyncProperty(fc.array(storable, { minLength: 1, maxLength: 10 }), async (values) => {
        const stream = newStream()
        await store.append(
          stream,
          values.map((data) => ({ type: 'A', data })),
        )
        const { events } = await store.readStream(stream)
        t.same(
          events.map(({ data }) => data),
          JSON.parse(JSON.stringify(values)),
        )
      }),
      { numRuns: 50 },
    )
  })

  await t.test('the feed is followed from a position on, each event once and as a page has it', async (t) => {
    const stream = newStream()
    const head = await store.head()
    const total = 300
    const writing = (async () => {
      for (let i = 0; i < total; i++) await store.append(i % 3 === 0 ? newStream() : stream, [{ type: 'A', data: i }])
    })()
    const [all, own] = await Promise.all([
      take(store.follow({ after: head }), total),
      take(store.follow({ stream_id: stream }), 200),
      writing,
    ])
    t.same(
      all.map(({ position }) => position),
      upTo(total).map((i) => head + i),
    )
    t.same(all, (await store.readFeed({ after: head, limit: 1_000 })).events)
    t.same(versions(own), upTo(200))
    t.same(versions(await take(store.follow({ stream_id: stream, after: 150 }), 50)), upTo(200).slice(150))
  })

  await t.test('a stream can be followed before it exists, and the feed from its head', async (t) => {
    const stream = newStream()
    const early = take(store.follow({ stream_id: stream, types: ['B'] }), 2)
    const news = store.follow({ after: 'head', stream_prefix: stream, metadata: { who: 'me' } })
    const first = news.next()
    const append = (type: string, who: string) => store.append(stream, [{ type, metadata: { who } }])
    // The head is asked for by the first next(), so what comes now may be before it.
    for (let taken = false; !taken; ) {
      await append('A', 'me')
      taken = await Promise.race([first.then(() => true), sleep(20, false)])
    }
    const { version } = await append('A', 'you')
    await append('B', 'me')
    await append('B', 'you')
    t.same(versions(await early), [version + 1, version + 2])
    let next = (await news.next()).value
    while (next?.version !== undefined && next.version < version) next = (await news.next()).value
    t.equal(next?.version, version + 1)
    await news.return()
  })

  await t.test('who passes over many events is told how far', async (t) => {
    const head = await store.head()
    for (let i = 0; i < 11; i++) {
      await store.append(
        newStream(),
        Array.from({ length: 1_000 }, () => ({ type: 'Other' })),
      )
    }
    const stop = new AbortController()
    const told: number[] = []
    const onCheckpoint = (cursor: number) => {
      told.push(cursor)
      stop.abort()
    }
    t.same(await take(store.follow({ after: head, types: ['Wanted'], signal: stop.signal, onCheckpoint }), 1), [])
    t.same(told, [head + 10_000])
  })

  await t.test('who takes events slowly gets them all, and an end when asked for', async (t) => {
    const stream = newStream()
    const stop = new AbortController()
    const following = store.follow({ stream_id: stream, signal: stop.signal })
    const first = following.next()
    await store.append(stream, [{ type: 'A' }])
    t.equal((await first).value?.version, 1)
    // Ten times what is kept for one that does not take it.
    const data = 'x'.repeat(500_000)
    for (let i = 0; i < 40; i++) await store.append(stream, [{ type: 'A', data }])
    for (let version = 2; version <= 41; version++) t.equal((await following.next()).value?.version, version)
    const last = following.next()
    stop.abort()
    t.same(await last, { value: undefined, done: true })
  })

  await t.test('what can not be followed is refused with a code', async (t) => {
    const head = await store.head()
    const refusal = (options: FollowOptions) => code(take(store.follow(options), 1))
    t.equal(await refusal({ after: head + 1 }), 'cursor_ahead')
    t.equal(await refusal({ stream_id: newStream(), after: 1 }), 'cursor_ahead')
    t.equal(await refusal({ after: -1 }), 'validation_failed')
    t.equal(await refusal({ since: 'yesterday' }), 'validation_failed')
    t.equal(await refusal({ stream_id: '' }), 'stream_id_invalid')
    t.same(await take(store.follow({ signal: AbortSignal.abort() }), 1), [])
  })
}
