import pg from 'pg'
import t from 'tap'
import { Migrator } from '../../../src/db/migrations/migrator.ts'
import { createTestDatabase, runSql, type Teardown, withDatabase } from '../../support/postgres.ts'

const server = await createTestDatabase(t)
let databases = 0

async function newDatabase(test: Teardown, options = ''): Promise<string> {
  const name = `${server.name}_${++databases}`
  await runSql(server.url, `CREATE DATABASE ${name} ${options}`)
  test.teardown(() => runSql(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  return withDatabase(server.url, name)
}

async function connected(test: Teardown, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  test.teardown(() => client.end())
  return client
}

const up = (url: string, lines: string[] = [], schema = 'public') =>
  new Migrator({ connectionString: url, schema, lockTimeoutMs: 30_000, log: (line) => lines.push(line) }).up()

// The tables as a Composable Rust application makes them, by its first two migrations.
const TABLES = `
  CREATE TABLE events (
    stream_id TEXT NOT NULL, version BIGINT NOT NULL, event_type TEXT NOT NULL, event_data BYTEA NOT NULL,
    metadata JSONB, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), PRIMARY KEY (stream_id, version));
  CREATE INDEX idx_events_created ON events (created_at);
  CREATE INDEX idx_events_type ON events (event_type);
  CREATE TABLE snapshots (
    stream_id TEXT PRIMARY KEY, version BIGINT NOT NULL, state_data BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now())`

// What its later migrations, its tools and its operators add.
const EXTRAS = `
  CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, success BOOLEAN NOT NULL);
  INSERT INTO _sqlx_migrations VALUES (1, 'create events table', true), (2, 'create snapshots table', true);
  CREATE TABLE failed_events (id BIGSERIAL PRIMARY KEY, stream_id TEXT NOT NULL);
  INSERT INTO failed_events (stream_id) VALUES ('a'), ('b');
  CREATE TABLE audit_logs (id BIGSERIAL PRIMARY KEY, said TEXT);
  ALTER TABLE events ADD COLUMN event_version INTEGER NOT NULL DEFAULT 1;
  UPDATE events SET event_version = 2 WHERE version % 5 = 0;
  CREATE INDEX idx_events_type_version ON events (event_type, event_version);
  CREATE INDEX idx_events_user ON events ((metadata->>'user_id'));
  CREATE TABLE projections (stream_id TEXT, version BIGINT, FOREIGN KEY (stream_id, version) REFERENCES events);
  INSERT INTO projections SELECT stream_id, version FROM events LIMIT 100;
  CREATE FUNCTION forbid() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''events are immutable''; END';
  CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION forbid();
  CREATE TRIGGER replicated BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION forbid();
  ALTER TABLE events ENABLE ALWAYS TRIGGER replicated;
  CREATE TRIGGER idle BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION forbid();
  ALTER TABLE events DISABLE TRIGGER idle;
  CREATE RULE no_update AS ON UPDATE TO events DO INSTEAD NOTHING`

// 5,000 streams of 20 events. Times go back within a stream, many are equal, and ids sort differently by byte and by
// language.
const FILL = `
  INSERT INTO events (stream_id, version, event_type, event_data, metadata, created_at)
  SELECT (ARRAY['Order-', 'order-', 'ärger-', 'zoo/'])[1 + s % 4] || s, v, 'Type' || v % 7,
    decode(md5(s || '.' || v) || '00ff', 'hex'),
    CASE WHEN v % 2 = 0 THEN jsonb_build_object('user_id', s, 'note', 'a' || v) END,
    timestamptz '2025-01-01 00:00:00.123456Z' + ((s * 7919 + v * 104729) % 9973) * interval '1 ms'
  FROM generate_series(1, 5000) AS s, generate_series(1, 20) AS v ORDER BY md5(s::text || v);
  INSERT INTO snapshots SELECT stream_id, max(version), 'state', min(created_at) FROM events GROUP BY stream_id`

const hashOf = async (client: pg.Client, columns: string): Promise<string> =>
  (
    await client.query(
      `SELECT md5(string_agg(md5(ROW(${columns})::text), '' ORDER BY stream_id COLLATE "C", version)) AS hash FROM events`,
    )
  ).rows[0].hash

/** The order that is promised, computed apart: by the latest time reached in the stream, then stream, then version. */
function expectedOrder(rows: { stream_id: string; version: number; at: number }[]): string[] {
  const reached = new Map<string, number>()
  const timed = rows
    .toSorted((a, b) => a.version - b.version)
    .map((row) => {
      const at = Math.max(row.at, reached.get(row.stream_id) ?? 0)
      reached.set(row.stream_id, at)
      return { ...row, at, bytes: Buffer.from(row.stream_id) }
    })
  return timed
    .toSorted((a, b) => a.at - b.at || Buffer.compare(a.bytes, b.bytes) || a.version - b.version)
    .map(({ stream_id: id, version }) => `${id} ${version}`)
}

for (const { name, extras, options } of [
  { name: 'as its first migrations leave it', extras: '', options: '' },
  {
    name: 'with what time has added to it, sorted by a language',
    extras: EXTRAS,
    options: `LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C' ENCODING 'UTF8' TEMPLATE template0`,
  },
]) {
  t.test(`A store of 100,000 events ${name} is adopted without losing or changing a row`, async (t) => {
    const url = await newDatabase(t, options)
    const client = await connected(t, url)
    await client.query(TABLES)
    await client.query(FILL)
    await client.query(extras)
    const columns = `stream_id, version, event_type, event_data, metadata, created_at${extras && ', event_version'}`
    const before = await hashOf(client, columns)
    const snapshots = 'SELECT md5(string_agg(s::text, \'\' ORDER BY stream_id COLLATE "C")) AS hash FROM '
    const snapshotsBefore = (await client.query(`${snapshots} snapshots AS s`)).rows

    const lines: string[] = []
    t.ok((await up(url, lines)).length >= 5)
    t.ok(lines.some((line) => /numbering the 100000 events that are stored already/.test(line)))
    t.notOk(lines.some((line) => /skipping/.test(line)))

    t.equal(await hashOf(client, columns), before)
    const only = `${snapshots} (SELECT stream_id, version, state_data, created_at FROM snapshots) AS s`
    t.strictSame((await client.query(only)).rows, snapshotsBefore)
    const { rows } = await client.query(
      `SELECT count(*)::int AS events, min(position)::int AS first, max(position)::int AS last,
         count(DISTINCT event_id)::int AS ids, bool_or(is_json) AS is_json, count(content_type)::int AS content_types,
         (SELECT position::int FROM annals_head) AS head FROM events`,
    )
    t.strictSame(rows[0], {
      events: 100_000,
      first: 1,
      last: 100_000,
      ids: 100_000,
      is_json: false,
      content_types: 0,
      head: 100_000,
    })
    const stored = await client.query(
      `SELECT stream_id, version::int AS version, extract(epoch FROM created_at)::float8 AS at FROM events ORDER BY position`,
    )
    const order = stored.rows.map(({ stream_id: id, version }) => `${id} ${version}`)
    t.ok(order.join('\n') === expectedOrder(stored.rows).join('\n'), 'time, stream, version, never against the version')
    const pages = await client.query('SELECT DISTINCT stream_id FROM events ORDER BY stream_id')
    const ids = pages.rows.map(({ stream_id: id }) => Buffer.from(id))
    t.ok(
      ids.every((id, i) => i === 0 || Buffer.compare(ids[i - 1] as Buffer, id) < 0),
      'streams sort by their bytes',
    )
    const { isSound, differences } = await new Migrator({ connectionString: url }).verify()
    t.ok(isSound, JSON.stringify(differences))

    if (extras) {
      const kept = await client.query(
        `SELECT (SELECT string_agg(tgname || tgenabled::text, ' ' ORDER BY tgname) FROM pg_trigger
             WHERE NOT tgisinternal AND tgname NOT LIKE '%annals%') AS triggers,
           (SELECT ev_enabled::text FROM pg_rewrite WHERE rulename = 'no_update') AS rule,
           (SELECT count(*)::int FROM _sqlx_migrations) AS sqlx, (SELECT count(*)::int FROM failed_events) AS failed,
           to_regclass('idx_events_type_version') IS NOT NULL AND to_regclass('idx_events_user') IS NOT NULL AS indexes`,
      )
      t.strictSame(kept.rows[0], {
        triggers: 'idleD immutableO replicatedA',
        rule: 'O',
        sqlx: 2,
        failed: 2,
        indexes: true,
      })
      await client.query('SET annals.allow_rewrite = on')
      await t.rejects(client.query('DELETE FROM events'), { message: 'events are immutable' })
    }

    await client.query(
      `INSERT INTO events (stream_id, version, event_type, event_data${extras && ', event_version'})
       VALUES ('order-1', 21, 'T', '\\x01'${extras && ', 3'}), ('new', 1, 'T', ''${extras && ', 1'})`,
    )
    const after = await client.query(
      'SELECT stream_id, position::int FROM events WHERE position > 100000 ORDER BY position',
    )
    t.strictSame(after.rows, [
      { stream_id: 'order-1', position: 100_001 },
      { stream_id: 'new', position: 100_002 },
    ])
  })
}

t.test('A table of the same name that is no event store is refused in words, and stays as it was', async (t) => {
  const refusals: [string, RegExp][] = [
    [
      'CREATE TABLE events (id BIGSERIAL PRIMARY KEY, name TEXT NOT NULL, version INTEGER)',
      /events that is already there is no event store.*column stream_id is missing; column version is integer, not bigint not null; column name must be given a value.*nothing keeps \(stream_id, version\) unique/,
    ],
    ['CREATE VIEW events AS SELECT 1 AS stream_id', /it is not an ordinary table/],
    [`${TABLES}; ALTER TABLE events ADD COLUMN tenant TEXT NOT NULL`, /adopt: column tenant must be given a value/],
    [`${TABLES}; ALTER TABLE events ALTER metadata SET NOT NULL`, /column metadata is jsonb not null, not jsonb/],
    [`${TABLES}; ALTER TABLE events DROP CONSTRAINT events_pkey`, /nothing keeps \(stream_id, version\) unique/],
    [
      `${TABLES}; ALTER TABLE snapshots DROP COLUMN version`,
      /snapshots that is already there.*column version is missing/,
    ],
    [`${TABLES}; ALTER TABLE events ADD COLUMN position BIGSERIAL`, /taken: events\.position/],
    [
      `${TABLES}; ALTER TABLE events ADD COLUMN event_id UUID, ADD COLUMN content_type TEXT`,
      /taken: events\.event_id, events\.content_type/,
    ],
    [
      `${TABLES}; CREATE VIEW orders AS SELECT stream_id FROM events`,
      /used by a view or rule; rule _RETURN on view orders/,
    ],
  ]
  for (const [made, message] of refusals) {
    const url = await newDatabase(t)
    const client = await connected(t, url)
    await client.query(made)
    const shape = () =>
      client.query(
        `SELECT attrelid::regclass::text, attname, atttypid, attnotnull FROM pg_attribute
         WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'annals%')
         ORDER BY 1, attnum`,
      )
    const before = (await shape()).rows.filter(({ attrelid }) => attrelid === 'events')
    await t.rejects(up(url), { kind: 'failed', message })
    t.strictSame(
      (await shape()).rows.filter(({ attrelid }) => attrelid === 'events'),
      before,
    )
  }
})

t.test('Events that were restored alone keep their positions and ids', async (t) => {
  const url = await newDatabase(t)
  const client = await connected(t, url)
  await up(url)
  await client.query(
    `INSERT INTO events (stream_id, version, event_type, event_data) SELECT 's', v, 'T', '' FROM generate_series(1, 3) AS v`,
  )
  const rows = async () => (await client.query('SELECT version, position, event_id FROM events ORDER BY position')).rows
  const before = await rows()
  await client.query(
    `DROP TRIGGER zz_annals_number_event ON events; DROP FUNCTION annals_append, annals_number_event, annals_event_id CASCADE;
     DROP TABLE annals_head, annals_migrations, snapshots`,
  )
  await up(url)
  t.strictSame(await rows(), before)
  await client.query(`INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('s', 4, 'T', '')`)
  t.strictSame(
    (await rows()).map(({ position }) => position),
    ['1', '2', '3', '4'],
  )
})

t.test('Events inserted by plain SQL get an id and contiguous positions, whatever way they come', async (t) => {
  const url = await newDatabase(t)
  const client = await connected(t, url)
  await up(url)
  const insert = (values: string, rest = '', columns = 'stream_id, version, event_type, event_data') =>
    client.query(`INSERT INTO events (${columns}) VALUES ${values} ${rest}`)
  const positions = async () => {
    const { rows } = await client.query(
      `SELECT array_agg(position::int ORDER BY position) AS all, (SELECT position::int FROM annals_head) AS head FROM events`,
    )
    return rows[0] as { all: number[] | null; head: number }
  }
  const contiguous = async (events: number, message: string) => {
    const { all, head } = await positions()
    t.strictSame(
      all,
      Array.from({ length: events }, (_, i) => i + 1),
      message,
    )
    t.equal(head, events, `${message}: the head`)
  }
  const given = await insert(`('a', 1, 'T', '')`, 'RETURNING position, event_id, content_type, is_json')
  t.match(given.rows[0], { position: '1', content_type: null, is_json: false })
  t.match(given.rows[0].event_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  const madeAt = Number.parseInt(given.rows[0].event_id.replaceAll('-', '').slice(0, 12), 16)
  t.ok(Math.abs(madeAt - Date.now()) < 60_000, 'a version 7 id, of now')

  await insert(`('a', 2, 'T', ''), ('b', 1, 'T', ''), ('b', 2, 'T', '')`)
  await contiguous(4, 'several rows at once')

  await insert(`('a', 1, 'T', '')`, 'ON CONFLICT DO NOTHING')
  await insert(`('a', 1, 'T', ''), ('a', 3, 'T', ''), ('a', 2, 'T', '')`, 'ON CONFLICT (stream_id, version) DO NOTHING')
  await contiguous(5, 'rows that are there already')
  await insert(`('c', 1, 'T', ''), ('c', 1, 'T', ''), ('c', 2, 'T', '')`, 'ON CONFLICT DO NOTHING')
  await contiguous(7, 'the same row twice in one statement')
  const upsert = 'ON CONFLICT (stream_id, version) DO UPDATE SET event_type = excluded.event_type'
  await t.rejects(insert(`('a', 1, 'U', '')`, upsert), { code: '23001' }, 'what is stored is not changed')
  await contiguous(7, 'an upsert')
  const own = 'c0ffee00-0000-4000-8000-000000000001'
  const withId = 'stream_id, version, event_type, event_data, event_id'
  await insert(`('d', 1, 'T', '', '${own}')`, '', withId)
  await insert(`('d', 2, 'T', '', '${own}')`, 'ON CONFLICT (event_id) DO NOTHING', withId)
  t.equal((await client.query(`SELECT FROM events WHERE event_id = '${own}'`)).rowCount, 1)
  await contiguous(8, 'an id of their own')

  await t.rejects(insert(`('a', 1, 'T', '')`), { code: '23505' })
  await t.rejects(insert(`('e', 1, 'T', ''), ('e', 2, NULL, '')`), { code: '23502' })
  await contiguous(8, 'statements that fail')
  await client.query('BEGIN')
  await insert(`('f', 1, 'T', '')`)
  await client.query('SAVEPOINT here')
  await insert(`('f', 2, 'T', '')`)
  await t.rejects(insert(`('f', 1, 'T', '')`), { code: '23505' })
  await client.query('ROLLBACK TO here')
  await insert(`('f', 2, 'T', 'again')`)
  await client.query('COMMIT')
  await contiguous(10, 'a savepoint')
  await client.query('BEGIN')
  await insert(`('g', 1, 'T', '')`)
  await client.query('ROLLBACK')
  await contiguous(10, 'a transaction that is rolled back')
  const writes = async () =>
    (await client.query(`SELECT pg_stat_get_xact_tuples_updated('annals_head'::regclass)::int AS n`)).rows[0]
      .n as number
  await client.query('BEGIN')
  const before = await writes()
  await client.query(
    `INSERT INTO events (stream_id, version, event_type, event_data) SELECT 'bulk', v, 'T', '' FROM generate_series(1, 500) v`,
  )
  t.equal((await writes()) - before, 1, 'the head is written once a statement')
  await client.query('ROLLBACK')
  await contiguous(10, 'a large statement')

  await client.query(
    `COPY events (stream_id, version, event_type, event_data) FROM PROGRAM 'printf "h\\t1\\tT\\tabc\\nh\\t2\\tT\\tdef\\n"'`,
  )
  await contiguous(12, 'COPY')
  await client.query(
    `CREATE FUNCTION filter() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN IF NEW.event_type = ''skip'' THEN RETURN NULL; END IF; RETURN NEW; END'`,
  )
  await client.query('CREATE TRIGGER filter BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION filter()')
  await insert(`('i', 1, 'skip', ''), ('i', 2, 'T', '')`)
  await contiguous(13, 'a trigger of somebody else that drops rows')
  await client.query(
    `CREATE FUNCTION echo() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN IF NEW.event_type = ''ask'' THEN
       INSERT INTO events (stream_id, version, event_type, event_data) VALUES (NEW.stream_id || ''-echo'', NEW.version, ''T'', '''');
     END IF; RETURN NEW; END'`,
  )
  await client.query('CREATE TRIGGER echo BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION echo()')
  await insert(`('j', 1, 'T', ''), ('j', 2, 'ask', ''), ('j', 3, 'T', '')`)
  await contiguous(17, 'a trigger of somebody else that inserts rows between others')
  await client.query(
    `WITH first AS (INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('k', 1, 'T', ''))
     INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('l', 1, 'ask', '')`,
  )
  await contiguous(20, 'several INSERTs in one statement')
  t.ok((await new Migrator({ connectionString: url }).verify()).isSound)
})

t.test('Plain writers and the append function share one order, and two writers never share a number', async (t) => {
  const url = await newDatabase(t)
  const [a, b] = [await connected(t, url), await connected(t, url)]
  await up(url)
  const insert = (client: pg.Client, stream: string, version: number) =>
    client.query(`INSERT INTO events (stream_id, version, event_type, event_data) VALUES ($1, $2, 'T', '')`, [
      stream,
      version,
    ])

  await a.query('BEGIN')
  await insert(a, 'a', 1)
  let isDone = false
  const waiting = insert(b, 'b', 1).then(() => {
    isDone = true
  })
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.notOk(isDone, 'the second writer waits for the first')
  await a.query('ROLLBACK')
  await waiting
  t.strictSame((await a.query('SELECT stream_id, position FROM events')).rows, [{ stream_id: 'b', position: '1' }])

  await a.query('BEGIN')
  await insert(a, 'race', 1)
  const loser = b.query(
    `INSERT INTO events (stream_id, version, event_type, event_data) VALUES ('race', 1, 'T', '') ON CONFLICT DO NOTHING`,
  )
  await new Promise((resolve) => setTimeout(resolve, 50))
  await a.query('COMMIT')
  t.equal((await loser).rowCount, 0)

  const append = `SELECT first_position FROM annals_append(1000, 0, ARRAY['s'], ARRAY[1], ARRAY[1], ARRAY[-1]::bigint[], ARRAY[1],
    '{}'::uuid[], '{}'::int[], ARRAY[1], ARRAY[0], ARRAY[gen_random_uuid()], ARRAY['T'], ARRAY[''::bytea], ARRAY[NULL]::jsonb[],
    ARRAY[NULL]::text[], ARRAY[true])`
  await Promise.all([
    ...Array.from({ length: 100 }, (_, i) => insert(a, 'x', i + 1)),
    ...Array.from({ length: 100 }, () => b.query(append)),
  ])
  const { rows } = await a.query(
    `SELECT count(*)::int AS events, min(position)::int AS first, max(position)::int AS last, (SELECT position::int FROM annals_head) AS head FROM events`,
  )
  t.strictSame(rows[0], { events: 202, first: 1, last: 202, head: 202 })
})

t.test('A writer who may only insert events needs no right on the head, and can not be led astray', async (t) => {
  const url = await newDatabase(t)
  await up(url, [], 'store')
  const role = `${server.name}_writer`
  t.teardown(() => runSql(server.url, `DROP ROLE IF EXISTS ${role}`))
  const client = await connected(t, url)
  await client.query(
    `CREATE ROLE ${role}; GRANT USAGE ON SCHEMA store TO ${role}; GRANT INSERT, SELECT ON store.events TO ${role}`,
  )
  await client.query(`SET ROLE ${role}`)
  await client.query('CREATE TEMP TABLE annals_head (position BIGINT); INSERT INTO annals_head VALUES (77)')
  await client.query(`INSERT INTO store.events (stream_id, version, event_type, event_data) VALUES ('a', 1, 'T', '')`)
  t.strictSame((await client.query('SELECT position FROM store.events')).rows, [{ position: '1' }])
  await t.rejects(client.query('UPDATE store.annals_head SET position = 9'), { code: '42501' })
  await client.query('RESET ROLE')
  await client.query(`DROP OWNED BY ${role}`)
})
