// What everything that keeps snapshots has to do: run against PostgreSQL and against memory.

import type { Test } from 'tap'
import type { PreparedSnapshot, SnapshotStore } from '../../src/db/snapshots/snapshot-store.ts'
import type { AppError } from '../../src/errors.ts'
import type { NewSnapshot } from '../../src/library/values.ts'
import type { EventStore } from '../../src/library.ts'

const code = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise
  } catch (error) {
    return (error as AppError).code
  }
  return 'no error'
}

let streams = 0
const newStream = () => `snapshots-${String(++streams).padStart(4, '0')}`

/** Runs the suite; `snapshots` keeps those of `store`. Both are shared, every test uses streams of its own. */
export async function snapshotContract(t: Test, store: EventStore, snapshots: SnapshotStore): Promise<void> {
  const append = (stream: string, count: number) =>
    store.append(
      stream,
      Array.from({ length: count }, (_, i) => ({ type: 'A', data: i })),
    )
  const prepared = (streamId: string, version: number): PreparedSnapshot => ({
    streamId,
    version,
    data: Buffer.from(`{"of":${version}}`),
    isJson: true,
    contentType: null,
  })

  await t.test('a snapshot comes back as it was saved', async (t) => {
    const stream = newStream()
    await append(stream, 3)
    const cases: [NewSnapshot, object][] = [
      [
        { version: 2, state: { text: 'ü\n"', list: [1, null] } },
        { state: { text: 'ü\n"', list: [1, null] }, content_type: 'application/json' },
      ],
      [{ version: 2, state: null }, { state: null }],
      [
        { version: 2, state: 1, content_type: 'application/vnd.x+json' },
        { state: 1, content_type: 'application/vnd.x+json' },
      ],
      [
        { version: 3, state_base64: 'AAH/' },
        { state_base64: 'AAH/', content_type: 'application/octet-stream' },
      ],
      [
        { version: 3, state_base64: '', content_type: 'image/x' },
        { state_base64: '', content_type: 'image/x' },
      ],
    ]
    for (const [snapshot, expected] of cases) {
      const saved = await store.saveSnapshot(stream, snapshot)
      t.match(saved, { stream_id: stream, version: snapshot.version })
      t.match(saved.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
      const read = await store.readSnapshot(stream)
      t.match(read, { ...saved, ...expected })
      t.equal('state' in (read as object), 'state' in snapshot)
      t.same(await snapshots.readSummary(stream), { version: snapshot.version, created_at: saved.created_at })
    }
  })

  await t.test('a snapshot is replaced by one of the same or a later version, never by an older one', async (t) => {
    const stream = newStream()
    await append(stream, 10)
    t.match(await snapshots.save(prepared(stream, 5)), { kind: 'saved', isNew: true })
    t.match(await snapshots.save(prepared(stream, 5)), { kind: 'saved', isNew: false })
    t.match(await snapshots.save(prepared(stream, 7)), { kind: 'saved', isNew: false })
    t.same(await snapshots.save(prepared(stream, 6)), { kind: 'older', storedVersion: 7 })
    t.same((await store.readSnapshot(stream))?.state, { of: 7 })
    t.equal(await code(store.saveSnapshot(stream, { version: 6, state: 0 })), 'snapshot_older')
  })

  await t.test('a snapshot is never ahead of its stream, and needs one', async (t) => {
    const stream = newStream()
    t.same(await snapshots.save(prepared(stream, 1)), { kind: 'stream_not_found' })
    t.equal(await code(store.saveSnapshot(stream, { version: 1, state: 0 })), 'stream_not_found')
    t.equal(await code(store.deleteSnapshot(stream)), 'stream_not_found')
    t.same([await store.readSnapshot(stream), await snapshots.readSummary(stream)], [null, null])
    t.same(await store.readState(stream), { version: 0, snapshot: null, events: [] })
    await append(stream, 2)
    t.same(await snapshots.save(prepared(stream, 3)), { kind: 'ahead', streamVersion: 2 })
    t.equal(await code(store.saveSnapshot(stream, { version: 3, state: 0 })), 'snapshot_ahead')
    t.equal(await store.readSnapshot(stream), null)
    t.match(await snapshots.save(prepared(stream, 2)), { kind: 'saved' })
  })

  await t.test('a deleted snapshot is gone, and an older one can take its place', async (t) => {
    const stream = newStream()
    await append(stream, 3)
    await store.deleteSnapshot(stream)
    await store.saveSnapshot(stream, { version: 3, state: 1 })
    await store.deleteSnapshot(stream)
    t.equal(await store.readSnapshot(stream), null)
    t.match(await snapshots.save(prepared(stream, 1)), { kind: 'saved', isNew: true })
    t.equal((await store.readStream(stream)).events.length, 3, 'the events stay')
  })

  await t.test('the state is the snapshot and the events after it, page by page', async (t) => {
    const stream = newStream()
    await append(stream, 10)
    const versions = (state: { events: { version: number }[] }) => state.events.map(({ version }) => version)
    const whole = await store.readState(stream)
    t.same([whole.version, whole.snapshot, versions(whole)], [10, null, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]])
    await store.saveSnapshot(stream, { version: 4, state: { n: 4 } })
    const state = await store.readState(stream)
    t.same([state.version, state.snapshot?.state, versions(state)], [10, { n: 4 }, [5, 6, 7, 8, 9, 10]])
    t.same(state.events, (await store.readStream(stream, { from_version: 5 })).events)
    t.same(versions(await store.readState(stream, { limit: 2 })), [5, 6])
    const page = (maxBytes: number, limit = 100) => snapshots.readState({ streamId: stream, limit, maxBytes })
    t.match(await page(1), { isFull: true, events: [{ at: 5 }], snapshot: { version: 4 } })
    t.match(await page(1_000), { isFull: false })
    t.match(await page(1_000, 6), { isFull: true })
    await store.saveSnapshot(stream, { version: 10, state: { n: 10 } })
    t.match(await store.readState(stream), { version: 10, snapshot: { state: { n: 10 } }, events: [] })
  })

  await t.test('streams that are far ahead of their snapshot are listed, a bounded stretch at a time', async (t) => {
    const [level, none, far, near] = [newStream(), newStream(), newStream(), newStream()]
    for (const stream of [level, none, far, near]) await append(stream, 12)
    await store.saveSnapshot(level, { version: 12, state: 0 })
    const saved = await store.saveSnapshot(far, { version: 1, state: 0 })
    await store.saveSnapshot(near, { version: 2, state: 0 })
    const from = { after: previousOf(level) }
    const list = (options: { limit?: number; maxChecked?: number; after?: string; moreThan?: number } = {}) =>
      snapshots.listBehind({ moreThan: 10, limit: 100, maxChecked: 100, ...options })
    const expected = [
      { stream_id: none, version: 12, snapshot: null, events_since_snapshot: 12 },
      {
        stream_id: far,
        version: 12,
        snapshot: { version: 1, created_at: saved.created_at },
        events_since_snapshot: 11,
      },
    ]
    t.match(await list(from), { streams: expected, next: null })
    t.equal((await list({ ...from, moreThan: 12 })).streams.length, 0)
    t.same(await list({ ...from, limit: 1 }), { streams: expected.slice(0, 1), checked: 2, next: none })
    t.same(await list({ after: none, limit: 1 }), { streams: expected.slice(1), checked: 1, next: far })
    t.same(await list({ ...from, maxChecked: 1 }), { streams: [], checked: 1, next: level })
    t.same(await list({ after: far, maxChecked: 2 }), { streams: [], checked: 1, next: null })
    t.same(await list({ after: near }), { streams: [], checked: 0, next: null })
  })

  await t.test(
    'of many who save at once the newest stays, exactly one is new, and a reader never sees it go back',
    async (t) => {
      for (let round = 0; round < 3; round++) {
        const stream = newStream()
        await append(stream, 50)
        const versions = Array.from({ length: 50 }, (_, i) => ((i * 37 + round * 11) % 50) + 1)
        let isDone = false
        const seen: number[] = []
        const watching = (async () => {
          while (!isDone) seen.push((await store.readSnapshot(stream))?.version ?? 0)
        })()
        const outcomes = await Promise.all(versions.map((version) => snapshots.save(prepared(stream, version))))
        isDone = true
        await watching
        t.equal(outcomes.filter((outcome) => outcome.kind === 'saved' && outcome.isNew).length, 1)
        t.ok(outcomes.every(({ kind }) => kind === 'saved' || kind === 'older'))
        const refusals = outcomes.flatMap((outcome, i) =>
          outcome.kind === 'older' ? [[outcome.storedVersion, versions[i]]] : [],
        )
        t.ok(refusals.every(([stored, asked]) => (stored as number) > (asked as number)))
        t.same((await store.readSnapshot(stream))?.state, { of: 50 })
        t.same(
          seen,
          seen.toSorted((a, b) => a - b),
        )
      }
    },
  )

  await t.test('beside appends no snapshot gets ahead, and a state has no gap and no overlap', async (t) => {
    const stream = newStream()
    await append(stream, 1)
    let isDone = false
    let states = 0
    const flaws: string[] = []
    const kinds = new Set<string>()
    const writing = (async () => {
      // Until everything that can happen did.
      for (let i = 0; i < 200 || kinds.size < 3 || states <= 10; i++) await append(stream, 1 + (i % 3))
      isDone = true
    })()
    const saving = async (seed: number) => {
      for (let i = seed; !isDone; i++) {
        const { version } = await store.readStream(stream, { limit: 1 })
        const asked = Math.max(1, version + (i % 7) - 3)
        const outcome = await snapshots.save(prepared(stream, asked))
        kinds.add(outcome.kind)
        const { version: head } = await store.readStream(stream, { limit: 1 })
        if (outcome.kind === 'saved' && asked > head) flaws.push(`saved at ${asked}, and the stream is at ${head}`)
        if (outcome.kind === 'ahead' && asked <= outcome.streamVersion)
          flaws.push('refused though the stream was there')
      }
    }
    const reading = async () => {
      for (; !isDone; states++) {
        const { version, snapshot, events } = await store.readState(stream)
        const from = snapshot?.version ?? 0
        const expected = Array.from({ length: version - from }, (_, i) => from + 1 + i)
        if (from > version || String(events.map((event) => event.version)) !== String(expected)) {
          flaws.push(`at ${version} with a snapshot of ${from}: ${events.map((event) => event.version)}`)
        }
        if (snapshot !== null && (snapshot.state as { of: number }).of !== from)
          flaws.push('the state is of another version')
      }
    }
    await Promise.all([writing, saving(0), saving(3), reading(), reading()])
    t.same(flaws.slice(0, 3), [])
    t.ok(states > 10, `${states} states were read meanwhile`)
    t.same([...kinds].sort(), ['ahead', 'older', 'saved'])
  })

  await t.test('snapshots that can not be stored are refused with the place and the rule', async (t) => {
    const stream = newStream()
    await append(stream, 1)
    const refused: [unknown, string, string][] = [
      [{ state: 1 }, '/version', 'required'],
      [{ version: 0, state: 1 }, '/version', 'integer_from_1'],
      [{ version: '1', state: 1 }, '/version', 'integer_from_1'],
      [{ version: 1 }, '', 'state_or_state_base64'],
      [{ version: 1, state: 1, state_base64: '' }, '', 'state_or_state_base64'],
      [{ version: 1, state_base64: 'AB' }, '/state_base64', 'base64'],
      [{ version: 1, state: 1, content_type: 'text/plain' }, '/content_type', 'json_media_type'],
      [{ version: 1, state: 1, data: 1 }, '/data', 'unknown_member'],
    ]
    for (const [snapshot, pointer, rule] of refused) {
      const error = await store.saveSnapshot(stream, snapshot as NewSnapshot).catch((error: unknown) => error)
      t.match(error, { code: 'validation_failed', members: { errors: [{ pointer, rule }] } }, JSON.stringify(snapshot))
    }
    t.equal(await code(store.saveSnapshot(stream, { version: 1, state: '\u0000' })), 'unstorable_value')
    t.equal(await code(store.saveSnapshot('.', { version: 1, state: 0 })), 'stream_id_invalid')
    t.equal(await store.readSnapshot(stream), null)
  })
}

/** The id just before one of `newStream`, in byte order. */
const previousOf = (stream: string): string =>
  stream.replace(/\d+$/, (n) => String(Number(n) - 1).padStart(n.length, '0'))
