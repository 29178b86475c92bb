// The limit that appends are held against: the same rows by prepared INSERTs that are each a transaction, without
// HTTP, conditions or order, by pgbench where it is installed and else by `pg`.
//
// They go to `raw.events`, made LIKE the store's table with all its indexes. Not to the store's own: its positions
// have to stay contiguous, and numbers handed out by the head would make the limit wait for a lock. Each client counts
// positions from an offset of its own, which costs nothing; ids are version 7 as the service's are.

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { runTask } from './child.ts'
import { dataOf, EVENT_TYPE, eventIdSql, FIRST_SERIAL } from './events.ts'
import type { Bench } from './scenario.ts'
import { temporaryFolder } from './server.ts'
import type { Figures } from './statistics.ts'
import { RANDOM_STREAMS } from './store.ts'

const run = promisify(execFile)
/** Room for what one client inserts in one leg. */
export const ROWS_PER_CLIENT = 1_000_000_000
const CLIENTS_AT_MOST = 100

export interface RawInsert {
  /** What does it, in words. */
  client: string
  /** INSERTs of `rows` rows each by so many clients at a time; figures per second. */
  insert(seconds: number, clients: number, rows?: number): Promise<Figures>
}

/** The task of children/raw-insert.ts. */
export interface PgInsertTask {
  databaseUrl: string
  seconds: number
  clients: number
  rows: number
  firstPosition: number
  streams: number
  idSql: string
}

/** The fastest client at hand. */
export async function openRawInsert(bench: Bench, databaseUrl: string): Promise<RawInsert> {
  const version = await run('pgbench', ['--version']).then(
    ({ stdout }) => /\d+(\.\d+)?/.exec(stdout)?.[0],
    () => undefined,
  )
  return version === undefined ? byPg(bench, databaseUrl) : byPgbench(bench, databaseUrl, version)
}

/** By `pg` from Node, which is what one round trip is compared with. */
export function byPg(bench: Bench, databaseUrl: string): RawInsert {
  return {
    client: '`pg` from Node',
    insert: (seconds, clients, rows = 1) =>
      withServerTime(bench, seconds, () =>
        runTask<PgInsertTask, Figures>(
          'raw-insert.ts',
          {
            ...{ databaseUrl, seconds, clients, rows, streams: RANDOM_STREAMS, idSql: eventIdSql(bench.server.major) },
            firstPosition: nextPosition(),
          },
          seconds + 30,
        ),
      ),
  }
}

/** Adds the processor time of the server per row. */
async function withServerTime(bench: Bench, seconds: number, run: () => Promise<Figures>): Promise<Figures> {
  const before = bench.server.processorSeconds()
  const figures = await run()
  const rows = (figures['per_second'] ?? Number.NaN) * seconds
  return { ...figures, postgres_us: ((bench.server.processorSeconds() - before) / rows) * 1e6 }
}

function byPgbench(bench: Bench, databaseUrl: string, version: string): RawInsert {
  const folder = temporaryFolder(bench.closers)
  const script = (rows: number): string => {
    const file = join(folder, `insert-${rows}.sql`)
    writeFileSync(file, pgbenchScript(rows, eventIdSql(bench.server.major)))
    return file
  }
  return {
    client: `pgbench ${version}`,
    insert: (seconds, clients, rows = 1) =>
      withServerTime(bench, seconds, async () => {
        const { stdout } = await run(
          'pgbench',
          [
            ...['--no-vacuum', '--protocol=prepared', `--client=${clients}`, `--jobs=${Math.min(2, clients)}`],
            ...[`--time=${Math.max(1, Math.round(seconds))}`, `--file=${script(rows)}`],
            ...['-D', `n=0`, '-D', `first=${nextPosition()}`, '-D', `data=${insertData(rows)}`],
            databaseUrl,
          ],
          { timeout: (seconds + 30) * 1000 },
        )
        const tps = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1])
        if (!(tps > 0)) throw new Error(`pgbench says something else than expected:\n${stdout}`)
        return { per_second: tps * rows }
      }),
  }
}

/**
 * The statement of both clients. Many rows come as one array, which is faster than VALUES with a parameter for each
 * (pgbench allows 255), and still sends the data of every row with every statement.
 */
export const insertText = (rows: number, parameters: InsertParameters, idSql: string): string => {
  const { stream, position, data } = parameters
  const columns = 'stream_id, version, event_type, event_data, position, event_id, is_json'
  return rows === 1
    ? `INSERT INTO raw.events (${columns})
        VALUES ('order-' || ${stream}, ${position}, '${EVENT_TYPE}', ${data}, ${position}, ${idSql}, true)`
    : `INSERT INTO raw.events (${columns})
        SELECT 'order-' || ${stream}, ${position} + place, '${EVENT_TYPE}', data::bytea, ${position} + place, ${idSql}, true
        FROM unnest(${data}::text[]) WITH ORDINALITY AS r (data, place)`
}

interface InsertParameters {
  stream: string
  position: string
  data: string
}

/** The parameter `data` for so many rows. */
export const insertData = (rows: number): string => {
  const data = Array.from({ length: rows }, (_, i) => dataOf(FIRST_SERIAL + i))
  return rows === 1 ? (data[0] as string) : `{${data.map((each) => JSON.stringify(each)).join(',')}}`
}

const pgbenchScript = (rows: number, idSql: string): string => {
  const insert = insertText(rows, { stream: ':stream', position: ':position::bigint', data: ':data' }, idSql)
  return `\\set n :n + 1
\\set position :first + :client_id * ${ROWS_PER_CLIENT} + :n * ${rows}
\\set stream random(0, ${RANDOM_STREAMS - 1})
${insert.replace(/\s+/g, ' ')};
`
}

let legs = 0

/** Where the positions of a leg begin; no other leg of this run comes near. */
const nextPosition = (): number => 1 + legs++ * ROWS_PER_CLIENT * CLIENTS_AT_MOST
