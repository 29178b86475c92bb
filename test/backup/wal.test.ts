// The archive_command that `annals wal conf` prints, called by a server.

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { walConfiguration } from '../../src/backup/wal/wal-configuration.ts'
import { folderInTheWay, serverUser } from '../../src/db/embedded/server-user.ts'
import { runSql, startTestCluster, testFolder } from '../support/postgres.ts'
import { MAIN, PROGRAM } from '../support/program.ts'
import { spawnAnnals, until } from '../support/service.ts'

/** The server's user has to read the program. */
function isOutOfReach(): string | false {
  const user = serverUser('/nonexistent')
  const folder = user && folderInTheWay(MAIN, user)
  return folder !== undefined && `${user?.name} can't enter ${folder}`
}

const archiveCommand = (program: readonly string[], archive: string): string =>
  (/^archive_command = '(.*)'$/m.exec(walConfiguration({ program, archive }))?.[1] ?? '').replaceAll("''", "'")

t.test('PostgreSQL counts what can not be archived, and archives it later', { skip: isOutOfReach() }, async (t) => {
  const archive = join(testFolder(t), 'archive')
  mkdirSync(archive)
  chmodSync(archive, 0o555)
  const settings = { archive_mode: 'on', archive_command: archiveCommand(PROGRAM, archive) }
  const { adminUrl: url } = await startTestCluster(t, { isDurable: false, settings })
  const archiver = async () =>
    (
      await runSql<{ failures: number; failed: string | null; archived: string | null }>(
        url,
        `SELECT failed_count::int AS failures, last_failed_wal AS failed, last_archived_wal AS archived
         FROM pg_stat_archiver`,
      )
    )[0]
  const fillSegment = async (table: string) => {
    await runSql(url, `CREATE TABLE ${table} ()`)
    const [row] = await runSql<{ name: string }>(url, 'SELECT pg_walfile_name(pg_switch_wal()) AS name')
    return row?.name as string
  }
  const first = await fillSegment('one')
  await until(async () => ((await archiver())?.failures ?? 0) > 0, 120_000)
  t.match(await archiver(), { failed: first, archived: null })
  t.same(readdirSync(archive), [])
  chmodSync(archive, 0o777)
  // Which wakes the archiver, that otherwise tries again after a minute.
  const second = await fillSegment('two')
  await until(async () => (await archiver())?.archived === second, 120_000)
  t.same(readdirSync(archive).toSorted(), [first, second])
  t.equal(statSync(join(archive, first)).size, 16 * 1024 * 1024)
})

t.test('Whatever keeps a file from the archive ends with a code that PostgreSQL counts', async (t) => {
  const folder = testFolder(t)
  const run = (...args: string[]) => spawnAnnals(t, ['wal', ...args]).exit
  const name = '000000010000000000000003'
  t.equal(await run('archive', join(folder, name), '--to', folder), 1, 'a file that is not there')
  t.equal(await run('archive', join(folder, name)), 1, 'a wrong command line')
  t.equal(await run('conf', '--to', 'wal'), 1, 'a folder that the server would look for elsewhere')
  t.equal(await run('conf'), 1)
  t.equal(await run('fetch', name), 200, 'which would be the end of the log for a recovery')
  t.equal(await run('fetsch', name, join(folder, name), '--from', folder), 200)
  const gone = archiveCommand(['/gone/node', MAIN], folder)
  t.equal(spawnSync('sh', ['-c', gone]).status, 1, 'a program that is not there')
})
