import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createBackup } from '../../src/backup/create-backup.ts'
import { type DestinationAccess, openDestination } from '../../src/backup/destinations/destinations.ts'
import { DEFAULT_POLICY } from '../../src/backup/policy/policy.ts'
import { pruneBackups } from '../../src/backup/prune-backups.ts'
import { restoreBackup } from '../../src/backup/restore/restore-backup.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { failure } from '../support/backups.ts'
import { createTestDatabase, runSql, testFolder, withDatabase } from '../support/postgres.ts'
import { isResticAbsent } from '../support/restic.ts'
import { startTestS3 } from '../support/s3.ts'

const source = await createTestDatabase(t)
// Other tests have backups on their way as well.
process.env['TMPDIR'] = testFolder(t)
await runMigrations(source.url)
// More than two parts of an upload, and nothing that compresses.
await runSql(
  source.url,
  `INSERT INTO events (stream_id, version, event_type, event_data, is_json)
   SELECT 'stream-' || i % 10, i / 10 + 1, 'Made', (SELECT decode(string_agg(md5((i * j)::text), ''), 'hex') FROM generate_series(1, 5000) AS j), false
   FROM generate_series(0, 459) AS i`,
)
const store = { url: source.url, schema: 'public' }
const small = { url: source.url, schema: 'small' }
await runMigrations(source.url, { schema: 'small' })
await runSql(
  source.url,
  `INSERT INTO small.events (stream_id, version, event_type, event_data) SELECT 'a', i, 'Made', '{}' FROM generate_series(1, 50) AS i`,
)
const context = () => ({ signal: new AbortController().signal, progress() {}, log() {} })
const make = (address: string, access: DestinationAccess, since?: string, from = store) =>
  createBackup(
    { destination: openDestination(address, access), store: from },
    { type: 'archive', options: {}, ...(since !== undefined && { since }) },
    context(),
  )

/** Restores into a new database and compares every row. */
async function restores(
  t: Pick<typeof import('tap').t, 'same'>,
  ...[id, address, access, schema = 'public']: [id: string, address: string, access: DestinationAccess, schema?: string]
): Promise<void> {
  const name = `${source.name}_back`
  await runSql(source.url, `CREATE DATABASE ${name}`)
  const url = withDatabase(source.url, name)
  try {
    const from = { id, destination: openDestination(address, access), target: { url, schema } }
    await restoreBackup({ ...from, how: { mode: 'into', isForced: false } }, context())
    const rows = `SELECT md5(string_agg(e::text, chr(10) ORDER BY position)) FROM ${schema}.events e`
    t.same(await runSql(url, rows), await runSql(source.url, rows), 'every row came back')
  } finally {
    await runSql(source.url, `DROP DATABASE ${name} WITH (FORCE)`)
  }
}
const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith('annals-backup-'))

t.test('A bucket', async (t) => {
  const { access, bucket, folder } = await startTestS3(t)
  const address = `s3://${bucket}/annals/prod`
  const destination = openDestination(address, access)
  const objects = () =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('_object'))

  const whole = await make(address, access)
  const increment = await make(address, access, whole.id)
  t.ok(whole.files.reduce((sum, { bytes }) => sum + bytes, 0) > 32 * 1024 * 1024, 'it went in several parts')
  t.same(
    (await destination.list()).backups.map(({ manifest }) => manifest.id),
    [whole.id, increment.id],
  )
  t.match(await verifyBackup({ destination, store }, { id: increment.id, level: 1 }, context()), { backups: 2 })
  await restores(t, increment.id, address, access)

  const chunk = objects().find((name) => name.includes(whole.id) && !name.includes('manifest')) as string
  const bytes = readFileSync(join(folder, chunk))
  const flipped = Buffer.from(bytes)
  flipped[1_000] = (flipped[1_000] as number) ^ 1
  writeFileSync(join(folder, chunk), flipped)
  const damaged = await failure(verifyBackup({ destination, store }, { id: whole.id, level: 0 }, context()))
  t.match(damaged, { kind: 'damaged', message: /has changed since it was written/ }, 'one flipped bit is found')
  rmSync(join(folder, chunk))
  const lacking = await failure(verifyBackup({ destination, store }, { id: whole.id, level: 0 }, context()))
  t.match(lacking, { kind: 'damaged', message: /lacks the file/ })

  const policy = { ...DEFAULT_POLICY, retention: { days: 0, keep_min: 1, daily: 0, weekly: 0, monthly: 0 } }
  const newest = await make(address, access)
  await pruneBackups({ destination, store: undefined }, { policy, now: new Date(), isDryRun: false }, context())
  t.same([...new Set(objects().map((name) => /backup_\d+_\d+/.exec(name)?.[0]))], [newest.id], 'the others are gone')

  const stopping = new AbortController()
  const stopped = await failure(
    createBackup(
      { destination, store },
      { type: 'archive', options: {} },
      {
        ...context(),
        signal: stopping.signal,
        progress: ({ step }) => step.startsWith('sending') && stopping.abort(),
      },
    ),
  )
  t.equal(stopped.kind, 'stopped')
  t.same([...new Set(objects().map((name) => /backup_\d+_\d+/.exec(name)?.[0]))], [newest.id], 'nothing of it is left')
  t.same(leftovers(), [], 'nor here')

  const cases: [what: string, address: string, access: DestinationAccess, kind: string, said: RegExp][] = [
    ['no bucket', 's3://elsewhere', access, 'refused', /there is no bucket elsewhere/],
    ['wrong keys', address, { ...access, AWS_SECRET_ACCESS_KEY: 'x' }, 'refused', /refuses these keys/],
    [
      'nobody there',
      address,
      { ...access, AWS_ENDPOINT_URL: 'http://127.0.0.1:9' },
      'failed',
      /can't be used: .*ECONNREFUSED/,
    ],
  ]
  for (const [what, at, using, kind, said] of cases)
    t.match(await failure(make(at, using)), { kind, message: said }, what)
  t.throws(() => openDestination('s3:///x', access), /is no place in S3/)
  t.throws(() => openDestination('gs://bucket'), /backups can't be kept in gs:…/)
})

t.test(
  'An object that is damaged on its way is found by reading it back, and nothing of the backup is left',
  async (t) => {
    const { access, bucket, folder } = await startTestS3(t)
    // Between the two: every part that is sent loses one bit.
    const proxy = createServer((from, answer) => {
      const to = request(access.AWS_ENDPOINT_URL + from.url, { method: from.method, headers: from.headers }, (back) => {
        answer.writeHead(back.statusCode as number, back.headers)
        back.pipe(answer)
      })
      to.on('error', () => answer.destroy())
      let isFirst = from.method === 'PUT' && !from.url?.includes('manifest')
      from.on('data', (piece: Buffer) => {
        if (isFirst) piece[0] = (piece[0] as number) ^ 1
        isFirst = false
        to.write(piece)
      })
      from.on('end', () => to.end())
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    t.teardown(() => proxy.close())
    const { port } = proxy.address() as AddressInfo
    const error = await failure(make(`s3://${bucket}`, { ...access, AWS_ENDPOINT_URL: `http://127.0.0.1:${port}` }))
    t.match(error, { kind: 'damaged', message: /came back from the bucket with other bytes than were sent/ })
    const left = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('_object'))
    t.same(left, [])
  },
)

t.test('A restic repository', { skip: isResticAbsent }, async (t) => {
  const repository = join(testFolder(t), 'repository')
  const access = { RESTIC_PASSWORD: 'a good one' }
  const address = `restic:${repository}`
  const absent = await failure(make(address, access, undefined, small))
  t.match(absent, { kind: 'refused', message: /there is no restic repository at .*: make one with restic init/ })
  execFileSync('restic', ['init', '--repo', repository], { env: { ...process.env, ...access } })

  const first = await make(address, access, undefined, small)
  const destination = openDestination(address, access)
  await restores(t, first.id, address, access, 'small')

  const wrong = await failure(make(address, { RESTIC_PASSWORD: 'a bad one' }, undefined, small))
  t.match(wrong, { kind: 'refused', message: `the password does not open the restic repository ${repository}` })
  t.throws(() => openDestination(address), /needs a password: set RESTIC_PASSWORD/)

  const newest = await make(address, access, undefined, small)
  const policy = { ...DEFAULT_POLICY, retention: { days: 0, keep_min: 1, daily: 0, weekly: 0, monthly: 0 } }
  await pruneBackups({ destination, store: undefined }, { policy, now: new Date(), isDryRun: false }, context())
  t.same(
    (await destination.list()).backups.map(({ manifest }) => manifest.id),
    [newest.id],
    'what the policy does not keep is forgotten',
  )
  execFileSync('restic', ['check', '--repo', repository], { env: { ...process.env, ...access } })
  const snapshots = readdirSync(join(repository, 'snapshots'))
  t.equal(snapshots.length, 1)
  t.same(leftovers(), [])
})
