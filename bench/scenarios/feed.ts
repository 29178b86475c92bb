import type { FeedResult, FeedTask } from '../children/feed-reader.ts'
import { runTask } from '../harness/child.ts'
import { openCopy } from '../harness/copy.ts'
import { fillStore } from '../harness/fill.ts'
import { type Bench, interleave, type Outcome, type Scenario } from '../harness/scenario.ts'
import { openStore } from '../harness/store.ts'

const COLUMNS =
  'position, stream_id, version, event_id, event_type, event_data, is_json, content_type, metadata, created_at'

export const feed: Scenario = {
  name: 'feed',
  about: 'The whole feed of 1 million events as NDJSON to one reader, beside COPY … TO STDOUT of the same columns.',
  async run(bench: Bench): Promise<Outcome> {
    const events = bench.isQuick ? 100_000 : 1_000_000
    const store = await openStore(bench)
    await fillStore(store, events)
    const copy = await openCopy(store.databaseUrl)
    const rounds = await interleave(bench, {
      'Annals, NDJSON': async () => {
        const nodeBefore = store.service.processorSeconds()
        const result = await readFeed(store.service.port)
        if (result.events !== events || result.firstPosition !== 1 || result.lastPosition !== events) {
          throw new Error(`the feed is not whole: ${JSON.stringify(result)}`)
        }
        return {
          per_second: events / result.seconds,
          mb_per_second: result.bytes / 1e6 / result.seconds,
          node_us: ((store.service.processorSeconds() - nodeBefore) / events) * 1e6,
        }
      },
      'COPY TO STDOUT': async () => ({
        per_second: events / (await copy.out(`COPY events (${COLUMNS}) TO STDOUT`)),
      }),
    })
    await store.check()
    return {
      rounds,
      bars: [
        {
          what: `whole feed of ${events.toLocaleString('en')} events as NDJSON, events/s`,
          against: `\`COPY … TO STDOUT\` text of the same columns (${copy.client})`,
          reached: rounds.ratio('Annals, NDJSON', 'per_second', 'COPY TO STDOUT'),
          ...{ unit: '×', atLeast: 0.8, aim: 1 },
        },
      ],
      notes: [],
    }
  },
}

const FEED_LIMIT_SECONDS = 300

/** Reads the whole feed once. */
export const readFeed = (port: number): Promise<FeedResult> =>
  runTask<FeedTask, FeedResult>('feed-reader.ts', { port, path: '/events' }, FEED_LIMIT_SECONDS)
