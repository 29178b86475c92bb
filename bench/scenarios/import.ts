import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { v7 } from 'uuid'
import { openCopy } from '../harness/copy.ts'
import { dataOf, EVENT_TYPE, FIRST_SERIAL, serialSql } from '../harness/events.ts'
import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { temporaryFolder } from '../harness/server.ts'
import { argumentsOf, cleanEnvironment } from '../harness/service.ts'
import { openStore } from '../harness/store.ts'

const IMPORT_LIMIT_MS = 600_000
const STREAMS = 100_000

export const importEvents: Scenario = {
  name: 'import',
  about: '`annals import` of 1 million events into an empty store, beside COPY FROM of the same rows.',
  async run(bench: Bench): Promise<Outcome> {
    const events = bench.isQuick ? 100_000 : 1_000_000
    const folder = temporaryFolder(bench.closers)
    const lines = join(folder, 'events.ndjson')
    const rows = join(folder, 'events.copy')
    await writeFiles(events, lines, rows)
    let copyClient = ''
    const rounds = await interleave(bench, {
      'annals import': () =>
        inNewStore(bench, async (store) => {
          const startedAt = performance.now()
          await promisify(execFile)(
            process.execPath,
            argumentsOf({ entry: bench.program.entry }, ['import', lines, '--url', store.service.url]),
            { env: cleanEnvironment(), timeout: IMPORT_LIMIT_MS },
          )
          const seconds = (performance.now() - startedAt) / 1000
          store.otherEvents = events
          await store.check()
          const { rows: wrong } = await store.client.query(
            `SELECT FROM events AS e WHERE ${serialSql} <> ${FIRST_SERIAL - 1} + position LIMIT 1`,
          )
          if (wrong.length > 0) throw new Error('the events were not stored in the order of their lines')
          return seconds
        }).then((seconds) => ({ per_second: events / seconds, seconds })),
      'COPY FROM': () =>
        inNewStore(bench, async (store) => {
          const copy = await openCopy(store.databaseUrl)
          copyClient = copy.client
          return await copy.in(`COPY raw.events (${COPIED}) FROM STDIN`, rows)
        }).then((seconds) => ({ per_second: events / seconds, seconds })),
    })
    return {
      rounds,
      bars: [
        {
          what: `\`annals import\` of ${events.toLocaleString('en')} events, events/s`,
          against: `\`COPY FROM\` of the same rows into the same table (${copyClient})`,
          reached: rounds.ratio('annals import', 'per_second', 'COPY FROM'),
          ...{ unit: '×', atLeast: 0.4, aim: 0.6 },
        },
      ],
      notes: ['Each round imports into a new store. Both sides include the start of their program.'],
    }
  },
}

const COPIED = 'stream_id, version, event_type, event_data, position, event_id, is_json'

async function inNewStore<T>(
  bench: Bench,
  run: (store: Awaited<ReturnType<typeof openStore>>) => Promise<T>,
): Promise<T> {
  const closers = bench.closers.part()
  try {
    return await run(await openStore({ ...bench, closers }))
  } finally {
    await closers.closeAll()
  }
}

/** The same events as lines for the import and as rows for COPY; ids are version 7, as an export's are. */
async function writeFiles(events: number, lines: string, rows: string): Promise<void> {
  const ids = Array.from({ length: events }, () => v7())
  const stream = (i: number) => `order-${i % STREAMS}`
  const line = (i: number) =>
    `{"stream_id":"${stream(i)}","id":"${ids[i]}","type":"${EVENT_TYPE}","data":${dataOf(FIRST_SERIAL + i)}}\n`
  const row = (i: number) =>
    `${stream(i)}\t${Math.floor(i / STREAMS) + 1}\t${EVENT_TYPE}\t${dataOf(FIRST_SERIAL + i)}\t${i + 1}\t${ids[i]}\tt\n`
  for (const [file, text] of [
    [lines, line],
    [rows, row],
  ] as const) {
    await pipeline(Readable.from(blocks(events, text)), createWriteStream(file))
  }
}

function* blocks(count: number, text: (i: number) => string): Generator<string> {
  for (let from = 0; from < count; from += 1_000) {
    yield Array.from({ length: Math.min(1_000, count - from) }, (_, i) => text(from + i)).join('')
  }
}
