// What the service does when the server is another one than before: only a standby, full, or closed to it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isPgBouncerAbsent, startPgBouncer } from '../support/pgbouncer.ts'
import { runSql, startTestCluster } from '../support/postgres.ts'
import { appendTo, ask, startTestService, until } from '../support/service.ts'
import { FaultProxy } from './fault-proxy.ts'
import { checkFeed, lasting, prove, SERVICE } from './prove.ts'
import { isVolumeAbsent, mountVolume, startStandby } from './servers.ts'

t.test('the password is wrong, and right again', async (t) => {
  const cluster = await startTestCluster(t, { isDurable: false, port: 0 })
  // By TCP; on the socket nobody is asked for a password.
  const password = readFileSync(join(cluster.dataDir, 'password'), 'utf8').trim()
  const DATABASE_URL = `postgres://annals:${password}@127.0.0.1:${new URL(cluster.url).port}/annals`
  const { url, ready } = await startTestService(t, { ...SERVICE, DATABASE_URL })
  await ready
  const setPassword = (to: string) => runSql(cluster.adminUrl, `ALTER ROLE annals PASSWORD '${to}'`)
  await prove(
    t,
    url,
    {
      begin: async () => {
        await setPassword('changed')
        await runSql(
          cluster.adminUrl,
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'annals'`,
        )
      },
      lastsMs: lasting(1_000),
      end: () => setPassword(password),
    },
    {
      readyMs: 2_000,
      appends: /^(201|database_unavailable)$/,
      reads: /^(200|database_unavailable)$/,
      recoverMs: 2_000,
    },
  )
})

t.test('the pooler is killed, while the database itself can be reached', { skip: isPgBouncerAbsent }, async (t) => {
  const cluster = await startTestCluster(t, { isDurable: false })
  const pooler = await startPgBouncer(t, cluster.url, { mode: 'transaction', size: 4 })
  const { url, ready } = await startTestService(t, {
    ...SERVICE,
    DATABASE_URL: pooler.url,
    DATABASE_DIRECT_URL: cluster.url,
  })
  await ready
  const observer = await prove(
    t,
    url,
    { begin: () => pooler.kill(), lastsMs: lasting(1_500), end: () => pooler.start() },
    {
      readyMs: 2_000,
      appends: /^(201|database_unavailable|commit_outcome_unknown)$/,
      reads: /^(200|database_unavailable)$/,
      recoverMs: 2_000,
    },
  )
  await checkFeed(t, url, observer.stored)
})

t.test('a failover: the standby only reads until it is promoted', async (t) => {
  const primary = await startTestCluster(t)
  const standby = await startStandby(t, primary)
  const proxy = await FaultProxy.start(t, primary.url)
  const { url, ready } = await startTestService(t, { ...SERVICE, DATABASE_URL: proxy.url })
  await ready
  await prove(
    t,
    url,
    {
      begin: async () => {
        proxy.retarget(standby.url)
        await primary.kill()
      },
      lastsMs: lasting(3_000),
      end: () => standby.promote(),
    },
    {
      readyMs: 3_000,
      reasons: ['read_only', 'database'],
      appends: /^(201|database_read_only|database_unavailable|commit_outcome_unknown)$/,
      reads: /^(200|database_unavailable)$/,
      recoverMs: 1_000,
    },
  )
})

t.test('an old primary that only reads is left as soon as there is a new one', async (t) => {
  const primary = await startTestCluster(t)
  const standby = await startStandby(t, primary)
  const proxy = await FaultProxy.start(t, primary.url)
  const { url, ready } = await startTestService(t, { ...SERVICE, DATABASE_URL: proxy.url })
  await ready
  const demoted = ['ALTER SYSTEM SET default_transaction_read_only = on', 'SELECT pg_reload_conf()']
  const observer = await prove(
    t,
    url,
    {
      begin: async () => {
        for (const sql of demoted) await runSql(primary.adminUrl, sql)
      },
      lastsMs: lasting(2_000),
      end: async () => {
        await standby.promote()
        proxy.retarget(standby.url)
      },
    },
    {
      readyMs: 3_000,
      reasons: ['read_only'],
      appends: /^(201|database_read_only)$/,
      reads: /^200$/,
      recoverMs: 1_000,
    },
  )
  await checkFeed(t, url, observer.stored)
})

t.test('the data volume is full', { skip: isVolumeAbsent }, async (t) => {
  const cluster = await startTestCluster(t, { isDurable: false })
  const { url, ready } = await startTestService(t, { ...SERVICE, DATABASE_URL: cluster.url })
  await ready
  const volume = mountVolume(t, cluster, 16)
  await runSql(cluster.adminUrl, `CREATE TABLESPACE small LOCATION '${volume.path}'`)
  await runSql(cluster.adminUrl, 'ALTER TABLE events SET TABLESPACE small')
  const large = {
    type: 'Large',
    data: 'x'.repeat(100_000).replaceAll('x', () => String.fromCharCode(97 + Math.random() * 26)),
  }
  const observer = await prove(
    t,
    url,
    {
      begin: async () => {
        volume.fill()
        await until(async () => (await appendTo(url, 'large', large)).status === 503)
        t.match(await ask(`${url}/health`), { body: { status: 'degraded', database: 'healthy' } })
        t.match(await appendTo(url, 'large', large), {
          status: 503,
          body: { code: 'database_full', outcome: 'not_applied' },
        })
      },
      lastsMs: lasting(1_000),
      end: () => volume.free(),
    },
    { appends: /^(201|database_full)$/, reads: /^200$/, recoverMs: 1_000 },
  )
  t.match(await appendTo(url, 'large', large), { status: 201 })
  await until(async () => (await ask(`${url}/health`)).body['status'] === 'ok')
  await checkFeed(t, url, observer.stored)
})
