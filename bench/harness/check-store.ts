// The proof after every load that nothing was lost, doubled or reordered.

import type pg from 'pg'
import { serialSql } from './events.ts'

/** Acknowledged appends: the first position and the first serial number of each, and how many events each had. */
export interface Acknowledged {
  positions: Float64Array
  serials: Float64Array
  eventsPerRequest: number
}

const CHECKED_AT_ONCE = 100_000

/**
 * Proves that positions are contiguous from 1 to the head, that versions are contiguous in the order of positions,
 * and that what was acknowledged is stored, each where the answer said, and beside `otherEvents` nothing else.
 * Answers the number of events.
 * @throws Error that says what is wrong
 */
export async function checkStore(
  client: pg.Client,
  acknowledged: Acknowledged[],
  otherEvents: number,
): Promise<number> {
  const state = await numbers(
    client,
    `SELECT (SELECT position FROM annals_head) AS head, count(*) AS events, coalesce(min(position), 1) AS first,
       coalesce(max(position), 0) AS last FROM events`,
  )
  const { head = 0, events = 0, first, last } = state
  if (first !== 1 || last !== head || events !== head) {
    throw new Error(`positions are not contiguous: ${events} events from ${first} to ${last}, the head at ${head}`)
  }
  const { wrong } = await numbers(
    client,
    `SELECT count(*) AS wrong FROM (
       SELECT version, lag(version, 1, 0::bigint) OVER (PARTITION BY stream_id ORDER BY position) AS previous FROM events
     ) AS e WHERE version <> previous + 1`,
  )
  if (wrong !== 0) throw new Error(`${wrong} events are not the next version of their stream`)
  let known = otherEvents
  for (const each of acknowledged) known += await checkAcknowledged(client, each)
  if (events !== known) throw new Error(`${events} events are stored, but ${known} were acknowledged`)
  return events
}

async function checkAcknowledged(client: pg.Client, acknowledged: Acknowledged): Promise<number> {
  const { positions, serials, eventsPerRequest } = acknowledged
  for (let from = 0; from < positions.length; from += CHECKED_AT_ONCE) {
    const to = from + CHECKED_AT_ONCE
    const { found } = await numbers(
      client,
      `SELECT count(*) AS found
       FROM unnest($1::bigint[], $2::bigint[]) AS a (position, serial)
       CROSS JOIN generate_series(0, $3::int - 1) AS place
       JOIN events AS e ON e.position = a.position + place
       WHERE ${serialSql} = a.serial + place`,
      [arrayText(positions.subarray(from, to)), arrayText(serials.subarray(from, to)), eventsPerRequest],
    )
    const expected = (Math.min(to, positions.length) - from) * eventsPerRequest
    if (found !== expected) {
      throw new Error(`of ${expected} acknowledged events ${found} are stored where they should be`)
    }
  }
  return positions.length * eventsPerRequest
}

/** The one row of a query whose columns are all numbers. */
async function numbers(client: pg.Client, text: string, values: unknown[] = []): Promise<Record<string, number>> {
  const { rows } = await client.query<Record<string, string>>(text, values)
  return Object.fromEntries(Object.entries(rows[0] ?? {}).map(([name, value]) => [name, Number(value)]))
}

const arrayText = (values: Float64Array): string => `{${values.join(',')}}`
