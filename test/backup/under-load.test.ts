// A store is archived while appends run, restored, and compared without Annals' own means: COPY of both, line by line.
// docs/explanation/guarantees.md has how that went with a million events.

import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import t from 'tap'
import { makeArchive, newDatabase, newDesk, restore } from '../support/backups.ts'
import { createTestDatabase, runSql } from '../support/postgres.ts'
import { appendTo, spawnAnnals, startTestService } from '../support/service.ts'

const GENERATED = Number(process.env['BACKUP_TEST_EVENTS'] ?? 20_000)
/** Lines for `annals import`, to have events among them that nobody made up. */
const FILE = process.env['BACKUP_TEST_FILE']

/** The events up to `head` as PostgreSQL writes them, one a line, in the order of positions. */
async function* linesOf(url: string, head: number): AsyncGenerator<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const rows = `SELECT * FROM events WHERE position <= ${head} ORDER BY position`
    let rest = ''
    for await (const piece of client.query(copyTo(`COPY (${rows}) TO STDOUT`)).setEncoding('utf8')) {
      const lines = (rest + piece).split('\n')
      rest = lines.pop() as string
      yield* lines
    }
  } finally {
    await client.end()
  }
}

t.test(
  'What was archived while appends ran comes back, row by row, with all that was acknowledged before',
  async (t) => {
    const server = await createTestDatabase(t)
    const { desk, url } = await newDesk(t, server)
    const { url: service } = await startTestService(t, { DATABASE_URL: url })
    if (FILE !== undefined) {
      const imported = spawnAnnals(t, ['import', FILE, '--url', service])
      t.equal(await imported.exit, 0, imported.stderr.join('\n'))
      t.comment(imported.stdout.join('\n'))
    }
    // With positions of their own: numbering rows one by one is for writers of few.
    await runSql(
      url,
      `WITH taken AS (
         UPDATE annals_head SET position = position + ${GENERATED}, largest_event_bytes = greatest(largest_event_bytes, 500)
           RETURNING position - ${GENERATED} AS last)
       INSERT INTO events (stream_id, version, event_type, event_data, metadata, position, event_id)
       SELECT 'generated-' || i / 20, i % 20 + 1, 'Generated' || i % 7,
         convert_to(format('{"n":%s,"note":"%s","text":"%s"}', i, md5(i::text), repeat(chr(65 + i % 26), i % 300)), 'UTF8'),
         CASE WHEN i % 3 = 0 THEN jsonb_build_object('correlation_id', md5((i / 100)::text)) END,
         last + i + 1, annals_event_id()
       FROM taken, generate_series(0, ${GENERATED - 1}) AS i`,
    )

    /** Ids of what was acknowledged, by position. */
    const acknowledged = new Map<number, string>()
    let isDone = false
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      while (!isDone) {
        const { status, body } = await appendTo(service, `load-${writer}`, { type: 'Appended', data: { writer } })
        if (status !== 201) throw new Error(`an append was answered with ${status}`)
        acknowledged.set(body['position'] as number, (body['event_ids'] as string[])[0] as string)
        await sleep(2)
      }
    })
    const loading = Promise.all(writers)
    loading.catch(() => {})
    while (acknowledged.size < 20) await sleep(10)
    const before = [...acknowledged.keys()]
    const { id, contents } = await makeArchive(desk)
    const during = acknowledged.size - before.length
    isDone = true
    await loading

    const head = contents?.head ?? 0
    t.ok(during > 0, `${during} appends were acknowledged while it was made`)
    t.ok(
      before.every((position) => position <= head),
      'what was acknowledged before it began is in it',
    )
    const target = await newDatabase(t, server)
    await restore(desk, id, target)

    const [ours, theirs] = [linesOf(url, head), linesOf(target, Number.MAX_SAFE_INTEGER)]
    let compared = 0
    for (;;) {
      const [live, back] = [await ours.next(), await theirs.next()]
      if (live.done && back.done) break
      // Not t.equal of each, which would make a million assertions of it.
      if (live.value !== back.value) return t.equal(back.value, live.value, `row ${compared + 1}`)
      compared++
    }
    t.equal(compared, head, 'every row is the same, and positions have no hole')
    t.ok(compared > GENERATED)
    const restored = await runSql<{ position: string; event_id: string }>(
      target,
      `SELECT position, event_id FROM events WHERE stream_id LIKE 'load-%'`,
    )
    const ids = new Map(restored.map(({ position, event_id: eventId }) => [Number(position), eventId]))
    t.same(
      [...acknowledged].filter(([position, eventId]) => position <= head && ids.get(position) !== eventId),
      [],
      'what was acknowledged is there under its id',
    )
    t.comment(`${compared} rows, ${during} appends meanwhile`)
  },
)
