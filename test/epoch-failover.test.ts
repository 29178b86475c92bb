// The epoch across a promotion, on a real standby.

import t from 'tap'
import { type AnnalsError, createClient } from '../src/client/client.ts'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import { startStandby } from './faults/servers.ts'
import { runSql, startTestCluster } from './support/postgres.ts'
import { startTestService, until } from './support/service.ts'

t.test('a standby that is promoted under a running service is another epoch, to readers of either', async (t) => {
  const primary = await startTestCluster(t, { isDurable: false })
  await runMigrations(primary.url)
  const standby = await startStandby(t, primary)
  const [first, second] = await Promise.all(
    [primary.url, standby.url].map((DATABASE_URL) =>
      startTestService(t, { DATABASE_URL, LOG_LEVEL: 'silent', HEARTBEAT_SECONDS: '1' }),
    ),
  )
  if (first === undefined || second === undefined) return t.fail('there are two services')
  await first.ready
  const [onPrimary, onStandby] = [createClient({ url: first.url }), createClient({ url: second.url })]
  const { position } = await onPrimary.append('s', [{ type: 'A' }, { type: 'B' }])
  await until(
    async () => (await runSql(standby.url, 'SELECT position FROM annals_head'))[0]?.['position'] === String(position),
  )
  await until(async () => (await fetch(`${second.url}/events`)).ok)

  const epochOf = async (url: string) => (await fetch(`${url}/events`)).headers.get('annals-epoch')
  const before = (await epochOf(first.url)) as string
  t.equal(await epochOf(second.url), before, 'a standby is of the epoch of its primary')
  const page = `${second.url}/events?after=${position}&epoch=${before}`
  t.equal((await fetch(page)).status, 200)

  let followed = 0
  const following = (async () => {
    for await (const _ of onStandby.follow()) followed++
  })().catch((error: AnnalsError) => error)
  await until(() => followed === 2)
  await standby.promote()
  const answer = await fetch(page)
  t.match([answer.status, await answer.json()], [409, { code: 'epoch_changed' }], 'the very next answer knows')
  t.match(await following, { code: 'epoch_changed' })
  const after = (await epochOf(second.url)) as string
  t.equal(after.split('.')[0], before.split('.')[0])
  t.match([before.split('.')[1], after.split('.')[1]], ['1', '2'])
  t.equal(await epochOf(first.url), before, 'the old primary does not know')
  t.equal((await fetch(`${second.url}/events?epoch=${after}`)).status, 200)
})
