import { existsSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeWorkFolder } from '../../src/backup/work-folder.ts'
import { temporaryFolder } from '../support/backups.ts'

t.test('A folder that a killed process left goes when the next one is made, and no other', async (t) => {
  const temporary = temporaryFolder(t)
  const own = await makeWorkFolder()
  const [, machine] = /annals-backup-(\w{8})-/.exec(own.folder) ?? []
  // No process has this id, and none can.
  const dead = 2 ** 30
  const leave = (name: string, hoursAgo = 0) => {
    const folder = join(temporary, name)
    mkdirSync(folder)
    writeFileSync(join(folder, 'file'), 'x')
    const at = Date.now() / 1000 - hoursAgo * 3_600
    utimesSync(folder, at, at)
    return folder
  }
  const gone = [
    leave(`annals-backup-${machine}-${dead}-abcdef`),
    // Of this process id before the container was started again.
    leave(`annals-backup-${machine}-${process.pid}-abcdef`, 24),
  ]
  const kept = [
    own.folder,
    leave(`annals-backup-${machine}-${process.ppid}-abcdef`, 24),
    leave(`annals-backup-00000000-${dead}-abcdef`, 24),
    leave(`annals-backup-${machine}-${dead}`, 24),
    leave(`other-annals-backup-${machine}-${dead}-abcdef`, 24),
  ]
  const precious = leave('precious')
  symlinkSync(precious, join(temporary, `annals-backup-${machine}-${dead}-zzzzzz`))

  const next = await makeWorkFolder()
  t.same(
    gone.filter((folder) => existsSync(folder)),
    [],
  )
  for (const folder of [...kept, precious]) t.ok(existsSync(folder), folder)
  t.same(readdirSync(precious), ['file'])
  await Promise.all([own.release(), next.release()])
  t.notOk(existsSync(own.folder) || existsSync(next.folder))
})
