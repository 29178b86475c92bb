// Stores with many events, made by SQL: a million in about ten seconds.

import { dataSql, EVENT_TYPE, eventIdSql, FIRST_SERIAL } from './events.ts'
import type { Store } from './store.ts'

const EVENTS_AT_ONCE = 500_000
/** Streams that get their events at the same time, and how many each gets. */
const STREAMS_PER_BLOCK = 1_000
const EVENTS_PER_STREAM = 10

/** `GET` finds the events of a filled store in streams `order-0` to `order-<events / 10 - 1>`. */
export const filledStreams = (events: number): number => events / EVENTS_PER_STREAM

/**
 * Puts `events` events (a multiple of 10,000) into an empty store: blocks of 1,000 streams with 10 events each, taking
 * turns within the block, as if so many orders were worked on at a time.
 */
export async function fillStore(store: Store, events: number): Promise<void> {
  for (let from = 0; from < events; from += EVENTS_AT_ONCE) {
    const to = Math.min(from + EVENTS_AT_ONCE, events)
    await insertEvents(store, from, to, blockStream, blockVersion)
  }
  await settle(store)
}

const BLOCK = STREAMS_PER_BLOCK * EVENTS_PER_STREAM
const blockStream = `'order-' || (i / ${BLOCK} * ${STREAMS_PER_BLOCK} + i % ${STREAMS_PER_BLOCK})`
const blockVersion = `i % ${BLOCK} / ${STREAMS_PER_BLOCK} + 1`

/** Adds `streams` streams `<prefix>-<k>` of `length` events each, one after another. */
export async function fillStreams(store: Store, prefix: string, streams: number, length: number): Promise<void> {
  const from = store.otherEvents
  const place = `(i - ${from})`
  const stream = `'${prefix}-' || ${place} / ${length}`
  await insertEvents(store, from, from + streams * length, stream, `${place} % ${length} + 1`)
  await settle(store)
}

/** Rows from + 1 to `to` by position; `stream` and `version` are expressions of the zero-based number `i`. */
async function insertEvents(store: Store, from: number, to: number, stream: string, version: string): Promise<void> {
  await store.client.query('BEGIN')
  await store.client.query(
    `INSERT INTO events (stream_id, version, event_type, event_data, created_at, position, event_id, is_json)
     SELECT ${stream}, ${version}, '${EVENT_TYPE}', ${dataSql(`(${FIRST_SERIAL} + i)`)},
       now() - interval '1 day' + i * interval '1 millisecond', i + 1, ${eventIdSql(store.bench.server.major)}, true
     FROM generate_series(${from}::bigint, ${to - 1}::bigint) AS i`,
  )
  await store.client.query(`UPDATE annals_head SET position = ${to}`)
  await store.client.query('COMMIT')
  store.otherEvents = to
}

// What autovacuum would do in the next minutes, done before anything is measured.
async function settle(store: Store): Promise<void> {
  await store.client.query('VACUUM ANALYZE events')
  await store.client.query('CHECKPOINT')
}
