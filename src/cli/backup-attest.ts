// annals backup attest and withdraw: what somebody says of backups that were made elsewhere.

import { Argument, type Command } from 'commander'
import { attest, withdraw } from '../backup/attest.ts'
import type { Attestation } from '../db/backup/attestation-records.ts'
import { type DeskOptions, withStore } from './backup-context.ts'
import { onStore, print } from './backup-options.ts'
import { bytesArgument, showBytes } from './quantities.ts'
import { table } from './table.ts'

interface AttestOptions extends DeskOptions {
  at?: string
  from?: string
  to?: string
  size?: number
  expires?: string
  by?: string
}

const EXAMPLES = `
A snapshot shows one moment; pitr is recovery to any moment of a window. Said again of the same reference, the window, size and
expiry take the place of what was said before:
  annals backup attest snapshot rds:orders-db-2026-01-15 --at 2026-01-15T02:10:00Z --size 20GB --expires 2026-02-14T02:10:00Z
  annals backup attest pitr rds:orders-db --from 2026-01-08T02:14:00Z --to 2026-01-15T09:25:00Z`

export function attestCommand(): Command {
  return onStore(
    'attest',
    'write down that a backup exists elsewhere; it is believed, and neither checked nor restored here',
  )
    .addArgument(new Argument('<kind>', 'of backup').choices(['snapshot', 'pitr']))
    .argument('<reference>', 'under which it is known there')
    .option('--at <time>', 'that a snapshot shows, for instance 2026-01-15T02:10:00Z')
    .option('--from <time>', 'the oldest moment of the window')
    .option('--to <time>', 'the newest moment of the window')
    .option('--size <size>', 'for instance 20GB', bytesArgument)
    .option('--expires <time>', 'when it is removed there, and forgotten here')
    .option('--by <who>', 'says so; the role of the database and this machine when absent')
    .addHelpText('after', EXAMPLES)
    .action((kind: Attestation['kind'], reference: string, options: AttestOptions) => {
      const { size: bytes, at, from, to, expires, by } = options
      return withStore(options, async (desk) => {
        const attested = await attest(desk, { kind, reference, bytes, at, from, to, expires, by })
        print(
          options,
          attested,
          () => `${attested.id}: ${attested.reference}, ${shown(attested)}, says ${attested.attested_by}`,
        )
      })
    })
}

export function withdrawCommand(): Command {
  return onStore('withdraw', 'forget what was attested: it is not there any more, or never was')
    .argument('<id>', 'as `annals backup list` shows it')
    .action((id: string, options: DeskOptions) =>
      withStore(options, async (desk) => {
        await withdraw(desk, id)
        print(options, { withdrawn: id }, () => `${id} is forgotten`)
      }),
    )
}

export function describeAttested(attested: Attestation[]): string {
  return [
    'made elsewhere, as somebody says; Annals has never read it, and can neither check nor restore it:',
    table(
      ['id', 'kind', 'shows', 'size', 'expires', 'says', 'reference'],
      attested.map((each) => [
        ...[each.id, each.kind, shown(each), each.bytes === null ? '' : showBytes(each.bytes)],
        ...[each.expires_at === null ? '' : second(each.expires_at), each.attested_by, each.reference],
      ]),
    ),
  ].join('\n')
}

const shown = ({ kind, shows_from: from, shows_to: to }: Attestation): string =>
  kind === 'snapshot' ? second(to) : `${second(from)} to ${second(to)}`

const second = (time: string): string => `${time.slice(0, 19)}Z`
