// Options of a backup that its type does not take: nothing is begun, and nothing is passed over.

import t from 'tap'
import { OptionError } from '../../src/backup/backup-error.ts'
import { createBackup } from '../../src/backup/create-backup.ts'
import { openDestination } from '../../src/backup/destinations/destinations.ts'
import type { CreateOptions } from '../../src/backup/driver.ts'
import { DRIVERS } from '../../src/backup/drivers.ts'
import { context, failure } from '../support/backups.ts'
import { testFolder } from '../support/postgres.ts'
import { spawnAnnals } from '../support/service.ts'

/** Where nothing listens: what got as far as the database would fail in other words. */
const NOWHERE = 'postgres://127.0.0.1:1/annals'

const OPTIONS: Required<CreateOptions> = { format: 'plain', gzip: true, tables: ['events'], kind: 'full' }

t.test('Every type refuses by name what it does not take', async (t) => {
  const desk = { destination: openDestination(testFolder(t)), store: { url: NOWHERE, schema: 'public' } }
  const attempt = (type: string, options: CreateOptions) => failure(createBackup(desk, { type, options }, context()))
  for (const driver of DRIVERS) {
    for (const [option, value] of Object.entries(OPTIONS)) {
      const error = await attempt(driver.type, { [option]: value })
      const isForeign = error instanceof OptionError && error.rule === 'not_of_this_type' && error.option === option
      t.equal(isForeign, !driver.takes.some((each) => each === option), `${driver.type}: ${option}`)
    }
  }
  t.match(await attempt('archive', { format: 'plain' }), {
    kind: 'refused',
    message: 'format is not for backups of type archive, which take no options',
  })
  t.match(await attempt('full', { tables: ['events'] }), {
    message: /^tables is not .* full, which take format, gzip$/,
  })
  t.match(await attempt('archive', { kind: 'full' }), { message: /^kind is not for backups of type archive/ })
  t.match(await attempt('full', { gzip: true }), { message: /^gzip is for the format plain/ })
  t.match(await attempt('tables', {}), { message: /^tables has to say which they are/ })
  t.match(await attempt('globals', { format: 'custom' }), { message: /^format is plain for roles/ })
})

t.test('The command line says it with dashes', async (t) => {
  const child = spawnAnnals(t, ['backup', 'create', '--gzip'], { DATABASE_URL: NOWHERE, BACKUP_DIR: testFolder(t) })
  t.equal(await child.exit, 4)
  t.match(child.stderr.join('\n'), /^annals: --gzip is not for backups of type archive, which take no options$/m)
})
