// annals verify: whether what is stored is as it has to be, straight from the database.

import { Command } from 'commander'
import { openDirectConnection } from '../db/connections/direct-connection.ts'
import { INTEGRITY_RULES, type IntegrityFinding, type IntegrityRule } from '../db/integrity/finding.ts'
import { type VerifyProgress, verifyStore } from '../db/integrity/verify-store.ts'
import { CommandError } from './command-error.ts'
import { count, type Progress, startProgress } from './progress.ts'
import { positionArgument } from './quantities.ts'
import { databaseUrlOption, schemaOption } from './store-options.ts'
import { openTargetDatabase, type TargetOptions } from './target-database.ts'

interface VerifyOptions extends TargetOptions {
  schema?: string
  after: number
  json: boolean
}

const FINDINGS_PER_RULE = 5
/** More than this are counted and not kept. */
const KEPT_PER_RULE = 100

const EXIT = { unsound: 2, unchecked: 4, stopped: 130 } as const

const HELP = `
Exit codes: 0 sound; 2 not sound; 4 it could not be checked; 130 stopped.
Without --database-url, DATABASE_DIRECT_URL and DATABASE_URL it is the embedded PostgreSQL below DATA_DIR.`

/** `annals verify`. Errors carry the exit code. */
export function verifyCommand(): Command {
  return new Command('verify')
    .description(
      'check that positions, versions, ids, snapshots and consumers of a store are sound, and that its schema guards them',
    )
    .addOption(databaseUrlOption())
    .addOption(schemaOption())
    .option('--after <position>', 'go on after a position up to which an earlier run had come', positionArgument, 0)
    .option('--json', 'print the result as JSON', false)
    .addHelpText('after', HELP)
    .action(async (options: VerifyOptions) => {
      try {
        await verify(options)
      } catch (error) {
        if (error instanceof CommandError) throw error
        throw new CommandError((error as Error).message, EXIT.unchecked, error)
      }
    })
}

async function verify(options: VerifyOptions): Promise<void> {
  const target = await openTargetDatabase(options, (line) => process.stderr.write(`${line}\n`))
  const schema = options.schema ?? target.settings.DATABASE_SCHEMA
  try {
    const client = await openDirectConnection(target.url, 'annals verify')
    try {
      await run(
        options,
        verifyStore((text, values) => client.query(text, values), schema, options.after),
      )
    } finally {
      await client.end()
    }
  } finally {
    await target.stop()
  }
}

async function run(options: VerifyOptions, pieces: AsyncIterable<VerifyProgress>): Promise<void> {
  const startedAt = performance.now()
  const found = new Found()
  let shown: Progress | undefined
  let at: VerifyProgress | undefined
  const interrupted = new AbortController()
  const stop = () => interrupted.abort()
  process.once('SIGINT', stop)
  try {
    for await (const piece of pieces) {
      at = piece
      found.add(piece.findings)
      shown ??= startProgress(piece.last - options.after, 'verifying')
      shown.update(piece.position - options.after, piece.events)
      if (interrupted.signal.aborted) break
    }
  } finally {
    process.off('SIGINT', stop)
    shown?.stop()
  }
  const seconds = (performance.now() - startedAt) / 1000
  const isComplete = !interrupted.signal.aborted
  report(options, found, at as VerifyProgress, seconds, isComplete)
  if (found.size > 0) throw new CommandError(`${count(found.size)} things are not as they have to be`, EXIT.unsound)
  if (!isComplete) throw new CommandError(`stopped; go on with --after ${at?.position}`, EXIT.stopped)
}

/** The first of each rule, and how many there are. */
class Found {
  size = 0
  readonly #byRule = new Map<IntegrityRule, { total: number; kept: IntegrityFinding[] }>()

  add(findings: IntegrityFinding[]): void {
    for (const finding of findings) {
      const of = this.#byRule.get(finding.rule) ?? { total: 0, kept: [] }
      this.#byRule.set(finding.rule, of)
      of.total++
      this.size++
      if (of.kept.length < KEPT_PER_RULE) of.kept.push(finding)
    }
  }

  of(rule: IntegrityRule): { total: number; kept: IntegrityFinding[] } {
    return this.#byRule.get(rule) ?? { total: 0, kept: [] }
  }

  get all(): IntegrityFinding[] {
    return [...this.#byRule.values()].flatMap(({ kept }) => kept)
  }
}

function report(
  { after, json }: VerifyOptions,
  found: Found,
  at: VerifyProgress,
  seconds: number,
  isComplete: boolean,
) {
  const { events, snapshots, position: checkedTo } = at
  if (json) {
    const result = {
      is_sound: found.size === 0,
      is_complete: isComplete,
      after,
      checked_to: checkedTo,
      events,
      snapshots,
    }
    process.stdout.write(`${JSON.stringify({ ...result, findings: found.all }, null, 2)}\n`)
    return
  }
  const lines = (Object.entries(INTEGRITY_RULES) as [IntegrityRule, string][]).flatMap(([rule, sentence]) => {
    const { total, kept } = found.of(rule)
    if (total === 0) return [`  ok      ${sentence}`]
    const shown = kept.slice(0, FINDINGS_PER_RULE).map(({ detail }) => `          ${detail}`)
    return [`  BROKEN  ${sentence} (${rule}, ${count(total)} times)`, ...shown]
  })
  const rate = count(Math.round(events / Math.max(seconds, 0.001)))
  const what = `positions ${count(after + 1)} to ${count(checkedTo)}: ${count(events)} events, ${count(snapshots)} snapshots`
  process.stdout.write(`${what} in ${seconds.toFixed(1)} s (${rate} events/s)\n\n${lines.join('\n')}\n`)
}
