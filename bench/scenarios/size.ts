import { readFileSync } from 'node:fs'
import { fillStore } from '../harness/fill.ts'
import type { Bench, Outcome, Scenario } from '../harness/scenario.ts'
import { Rounds, spreadOf } from '../harness/statistics.ts'
import { openStore } from '../harness/store.ts'

const SEEDS_TABLE = new URL('../../migrations/0001_events.sql', import.meta.url)

export const size: Scenario = {
  name: 'size',
  about: 'Bytes per event on disk with all indexes, beside the original table with its two indexes and the same rows.',
  async run(bench: Bench): Promise<Outcome> {
    const events = bench.isQuick ? 100_000 : 1_000_000
    const store = await openStore(bench)
    await fillStore(store, events)
    await store.client.query('CREATE SCHEMA original')
    await store.client.query(`SET search_path = original; ${readFileSync(SEEDS_TABLE, 'utf8')}; RESET search_path`)
    await store.client.query(
      `INSERT INTO original.events (stream_id, version, event_type, event_data, metadata, created_at)
       SELECT stream_id, version, event_type, event_data, metadata, created_at FROM public.events ORDER BY position`,
    )
    await store.client.query('VACUUM ANALYZE original.events')
    const bytes: Record<string, number> = {}
    const parts: string[] = []
    for (const schema of ['public', 'original']) {
      const { rows } = await store.client.query<{ name: string; bytes: string }>(
        `SELECT relname AS name, pg_relation_size(oid) AS bytes FROM pg_class
         WHERE oid = $1::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = $1::regclass)
         ORDER BY relkind DESC, relname`,
        [`${schema}.events`],
      )
      bytes[schema] = rows.reduce((sum, row) => sum + Number(row.bytes), 0) / events
      parts.push(
        `${schema === 'public' ? 'Annals' : 'Original'}: ` +
          rows.map((row) => `${row.name} ${(Number(row.bytes) / events).toFixed(0)}`).join(', '),
      )
    }
    const { public: ours = Number.NaN, original = Number.NaN } = bytes
    return {
      rounds: new Rounds({ Annals: [{ bytes_per_event: ours }], 'original table': [{ bytes_per_event: original }] }),
      bars: [
        {
          what: 'bytes per event, heap and all indexes',
          against: 'the original table with its two indexes',
          reached: spreadOf([ours / original]),
          ...{ unit: '×', atMost: 1.3 },
        },
      ],
      notes: [`Bytes per event. ${parts.join('. ')}.`, 'Sizes do not vary, so they are taken once.'],
    }
  },
}
