// Backups of the Redis that has the counters of the rate limit, by Redis's own programs.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t from 'tap'
import { readCatalogue } from '../../src/backup/catalogue.ts'
import { createBackup } from '../../src/backup/create-backup.ts'
import { assess } from '../../src/backup/drills/assess.ts'
import type { JobContext } from '../../src/backup/driver.ts'
import { MANIFEST_FILE } from '../../src/backup/manifest.ts'
import { DEFAULT_POLICY } from '../../src/backup/policy/policy.ts'
import { checkRdb } from '../../src/backup/redis/rdb-file.ts'
import { tryOutRedis } from '../../src/backup/redis/restore-redis.ts'
import { testBackup } from '../../src/backup/test-backup.ts'
import { verifyBackup } from '../../src/backup/verify-backup.ts'
import { loadSettings } from '../../src/config.ts'
import { readBackupFigures } from '../../src/db/backup/backup-figures.ts'
import { connectToStore } from '../../src/db/backup/store-connection.ts'
import { SharedBuckets } from '../../src/rate-limit/shared-buckets.ts'
import { context, failure, makeArchive, newDesk, restore, temporaryFolder } from '../support/backups.ts'
import { createTestDatabase, type Teardown } from '../support/postgres.ts'
import { startRedis, withoutRedis } from '../support/redis.ts'
import { spawnAnnals, until } from '../support/service.ts'

const skip =
  withoutRedis || (spawnSync('redis-cli', ['--version']).status === 0 ? false : 'redis-tools are not installed')

const server = await createTestDatabase(t)
const tools = (redisUrl: string): JobContext => ({ ...context(), redisUrl })
const makeRedis = (desk: Parameters<typeof createBackup>[0], job: JobContext) =>
  createBackup(desk, { type: 'redis', options: {} }, job)

/** Of one client that may come five times, and then once in 100 s. */
async function bucketsAt(t: Teardown, url: string): Promise<SharedBuckets> {
  const rate = { name: 'client', perSecond: 0.01, burst: 5 }
  const buckets = new SharedBuckets({ url, rate, fallbackRate: rate, onChange() {} })
  t.teardown(() => buckets.close())
  await until(() => buckets.isShared)
  return buckets
}

function client(t: Teardown, url: string): Redis {
  const redis = new Redis(url)
  t.teardown(() => redis.disconnect())
  return redis
}

t.test(
  'Counters come back into a second Redis, and nothing is left of the one that they are tried out on',
  { skip },
  async (t) => {
    const { desk, url, folder } = await newDesk(t, server)
    const temporary = temporaryFolder(t)
    const live = await startRedis(t, { password: 'secret' })
    const buckets = await bucketsAt(t, live.url)
    for (let i = 0; i < 5; i++) t.ok((await buckets.take('a')).isAllowed)
    t.notOk((await buckets.take('a')).isAllowed)
    await client(t, `${live.url}/3`).set('other', 'x')

    const manifest = await makeRedis(desk, tools(live.url))
    const { id } = manifest
    t.match(manifest, { type: 'redis', tool: /^redis-cli \d/, contents: null, files: [{ name: `${id}.rdb` }] })
    t.notMatch(readFileSync(join(folder, id, MANIFEST_FILE), 'utf8'), /secret/)
    // The probe of the service may be among them, for a second.
    const { keys } = manifest.details as { keys: number }
    t.ok(keys === 2 || keys === 3, `${keys} keys`)

    t.match(await verifyBackup(desk, { id, level: 1 }, context()), { level: 1 })
    const tried = await verifyBackup(desk, { id, level: 2 }, context())
    t.match(tried, { scratch: 'server', found: { counters: Number } })
    t.equal((tried.found?.['keys'] ?? 0) + (tried.found?.['expired'] ?? 0), keys)
    t.match(await failure(verifyBackup(desk, { id, level: 3 }, context())), {
      kind: 'refused',
      message: /level 2 is the highest/,
    })
    t.match(await testBackup(desk, id, context()), { id, scratch: 'server', found: { counters: Number } })
    t.match((await readCatalogue(desk)).entries, [{ id, type: 'redis', verified: { level: 2 }, tested_at: String }])
    t.match(
      await failure(testBackup(desk, undefined, context())),
      { kind: 'not_found' },
      'it is no backup of the store',
    )
    t.same(
      readdirSync(temporary).filter((name) => name.startsWith('annals-backup-')),
      [],
    )

    const second = await startRedis(t)
    const { outcome } = await restore(desk, id, second.url)
    t.ok((outcome['keys'] as number) >= 2)
    t.equal(await client(t, `${second.url}/3`).get('other'), 'x')
    const restored = await bucketsAt(t, second.url)
    t.notOk((await restored.take('a')).isAllowed, 'the counter has survived')
    t.ok((await restored.take('b')).isAllowed)
    const lost = await bucketsAt(t, (await startRedis(t)).url)
    t.ok((await lost.take('a')).isAllowed, 'without a backup it begins anew')

    const names = async () =>
      (await client(t, second.url).keys('*')).filter((name) => !name.endsWith('probe')).toSorted()
    const held = await names()
    t.match(await failure(restore(desk, id, second.url)), {
      kind: 'refused',
      message: /not empty: it has \d+ keys? in db0/,
    })
    t.same(await names(), held)

    const query = await connectToStore({ url, schema: 'public' }, 'test')
    const figures = await readBackupFigures((text, values) => query.query(text, values), 'public')
    await query.end()
    const settings = { ...loadSettings({ DATABASE_URL: url }).settings }
    t.match(await assess(desk, { settings, policy: DEFAULT_POLICY }), {
      backups: { newest: [{ id }], newest_verified: null },
    })
    t.match(figures, {
      types: [{ type: 'redis', last_success: Number }],
      recovery_point: null,
      first_recoverability: null,
    })
  },
)

t.test('A restore that fails in its middle takes away what it has put there', { skip }, async (t) => {
  const { desk } = await newDesk(t, server)
  const [source, target] = [await startRedis(t), await startRedis(t)]
  const full = client(t, source.url)
  for (let i = 0; i < 50; i++) await full.set(`annals:rate-limit:${i}`, '1768469400000.5', 'PX', 600_000)
  await client(t, `${source.url}/1`).set('foreign', 'x')
  const { id } = await makeRedis(desk, tools(source.url))
  const admin = client(t, target.url)
  await admin.call('ACL', 'SETUSER', 'limited', 'on', '>pass word', '~annals:*', '+@all')
  const limited = target.url.replace('redis://', 'redis://limited:pass%20word@')
  const failed = await failure(restore(desk, id, limited))
  t.match(failed, {
    kind: 'failed',
    message: /does not take the key foreign: NOPERM; what was put there is taken away/,
  })
  t.same(await admin.keys('*'), [])
  await admin.call('ACL', 'SETUSER', 'limited', 'allkeys')
  t.match((await restore(desk, id, limited)).outcome, { keys: 51 })
  t.equal((await admin.keys('*')).length, 50)
  const ttl = await admin.pttl('annals:rate-limit:7')
  t.ok(ttl > 500_000 && ttl <= 600_000, `it expires in ${ttl} ms`)
})

t.test('What is damaged is found, and named', { skip }, async (t) => {
  const { desk, folder } = await newDesk(t, server)
  const live = await startRedis(t)
  const redis = client(t, live.url)
  for (let i = 0; i < 20; i++) await redis.set(`annals:rate-limit:${i}`, i === 7 ? 'no moment' : '1768469400000')
  const manifest = await makeRedis(desk, tools(live.url))
  const { id } = manifest
  t.match(await failure(verifyBackup(desk, { id, level: 2 }, context())), {
    ...{ kind: 'different', message: /the counter annals:rate-limit:7 holds no moment/ },
  })
  const opened = { manifest, folder: join(folder, id) }
  const more = { ...opened, manifest: { ...manifest, details: { ...manifest.details, keys: 21 } } }
  t.match(await failure(tryOutRedis({ ...context(), chain: [more] })), {
    ...{
      kind: 'different',
      message: /of the 21 keys of .* there are 20 in a Redis that was started on it, and 0 had expired/,
    },
  })
  writeFileSync(join(folder, id, MANIFEST_FILE), JSON.stringify(more.manifest))
  t.match(await failure(verifyBackup(desk, { id, level: 1 }, context())), {
    ...{ kind: 'damaged', message: /has 20 keys, and its manifest says 21/ },
  })
  const rdb = join(folder, id, `${id}.rdb`)
  const bytes = readFileSync(rdb)
  const flipped = Buffer.from(bytes)
  flipped[bytes.length - 20] = (flipped[bytes.length - 20] as number) ^ 1
  for (const [what, content] of [
    ['a flipped bit', flipped],
    ['a truncated file', bytes.subarray(0, 100)],
  ] as const) {
    writeFileSync(rdb, content)
    t.match(await failure(verifyBackup(desk, { id, level: 0 }, context())), { kind: 'damaged' }, what)
    t.match(await failure(checkRdb(rdb, new AbortController().signal)), {
      ...{ kind: 'damaged', message: /redis-check-rdb finds the file damaged/, evidence: [String] },
    })
    t.match(
      await failure(tryOutRedis({ ...context(), chain: [opened] })),
      { kind: 'failed', message: /does not start/ },
      what,
    )
  }
})

t.test('What can not be is refused in words, and leaves nothing', { skip }, async (t) => {
  const { desk, url, folder } = await newDesk(t, server)
  const live = await startRedis(t, { password: 'secret' })
  const archive = await makeArchive(desk)
  const { id } = await makeRedis(desk, tools(live.url))
  const wrong = live.url.replace('secret', 'hunter2')
  for (const [job, message] of [
    [context(), /there is no Redis to back up: set REDIS_URL/],
    [tools(wrong), /^Redis can't be used: WRONGPASS$/],
    [tools(live.url.replace(':secret@', '')), /^Redis can't be used: NOAUTH$/],
    [tools('redis://127.0.0.1:2'), /^Redis can't be used: ECONNREFUSED$/],
  ] as [JobContext, RegExp][]) {
    t.match(await failure(makeRedis(desk, job)), { message })
  }
  const { entries } = await readCatalogue(desk)
  t.ok(
    entries.some(({ state }) => state === 'failed'),
    'those of one second have one id',
  )
  t.same(readdirSync(folder).toSorted(), [archive.id, id].toSorted())

  const empty = (await startRedis(t)).url
  for (const [refused, message] of [
    [() => restore(desk, id, url), /goes into another server: --into redis:\/\//],
    [
      () => restore(desk, archive.id, empty),
      /of type archive goes into PostgreSQL; redis:\/\/ is for those of type redis/,
    ],
    [() => restore(desk, id, empty, { mode: 'replace' }), /goes into an empty server only/],
    [() => restore(desk, id, empty, { mode: 'into', isForced: true }), /without --force/],
  ] as const) {
    t.match(await failure(refused()), { kind: 'refused', message })
  }
  t.same(await client(t, empty).keys('*'), [])
})

t.test('The commands do the same', { skip }, async (t) => {
  const { url, folder } = await newDesk(t, server)
  const [live, second] = [await startRedis(t, { password: 'secret' }), await startRedis(t)]
  await client(t, live.url).set('annals:rate-limit:x', '1768469400000')
  const run = async (...args: string[]) => {
    const child = spawnAnnals(t, args, { DATABASE_URL: url, BACKUP_DIR: folder, REDIS_URL: live.url })
    return { code: await child.exit, text: child.stdout.join('\n'), said: child.stderr.join('\n') }
  }
  const made = await run('backup', 'create', '--type', 'redis')
  const id = /backup_\w+/.exec(made.text)?.[0] ?? ''
  t.match(made, { code: 0, text: /^backup_\w+: redis, \d+ B$/ })
  t.match(await run('backup', 'test', id), {
    code: 0,
    text: /on a server of its own: keys: 1, expired: 0, counters: 1$/,
  })
  t.match(await run('restore', id, '--into', second.url), {
    code: 0,
    text: /^restored: backup_\w+: redis, .*\n {2}keys: 1$/,
  })
})
