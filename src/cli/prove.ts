// annals prove: many clients at once against a running service, and a judgement of what it did.

import { randomInt } from 'node:crypto'
import { Command, InvalidArgumentError, Option } from 'commander'
import { AnnalsError } from '../client/client.ts'
import { checkHistory } from '../proof/check-history.ts'
import type { History } from '../proof/history.ts'
import { readHistory, writeHistory } from '../proof/history-file.ts'
import { describeRemains, describeVerdict } from '../proof/report.ts'
import { runWorkload } from '../proof/workload.ts'
import { CommandError } from './command-error.ts'
import { ServiceError, type ServiceOptions, serviceOptions, unreachable } from './http-client.ts'
import { checkReadable, checkWritable } from './named-files.ts'
import { startProgress } from './progress.ts'

interface ProveOptions extends ServiceOptions {
  clients: number
  seconds: number
  seed?: number
  rate: number
  history?: string
  check?: string
  json: boolean
}

const EXIT = { broken: 1, unproved: 4 } as const

const EXIT_CODES = `
Exit codes: 0 every promise was kept; 1 one was broken; 4 it could not be judged.`

/** `annals prove`. Errors carry the exit code. */
export function proveCommand(): Command {
  const command = new Command('prove')
    .description(
      'append, read and follow in streams of its own against a running service, and judge from the answers and the feed whether it kept its promises',
    )
    .option('--clients <count>', 'writers at once, 1 to 256', whole(1, 256), 8)
    .option('--seconds <seconds>', 'how long they write', whole(1, 86_400), 10)
    .option('--rate <count>', 'appends a second of all writers together; 0 for as many as they can', whole(0, 1e6), 500)
    .option('--seed <number>', 'decides what they do; a random one when absent', whole(0, 2 ** 31 - 1))
    .option('--history <file>', 'keep what was done and what is stored in a file of lines')
    .addOption(new Option('--check <file>', 'judge such a file again, without a service').conflicts('history'))
    .option('--json', 'print the verdict as JSON', false)
  for (const option of serviceOptions()) command.addOption(option)
  return command.addHelpText('after', EXIT_CODES).action(async (options: ProveOptions) => {
    const broken = await prove(options).catch((error: Error) => {
      throw new CommandError(error.message, EXIT.unproved, error)
    })
    if (broken === 0) return
    throw new CommandError(`${broken} of the promises ${broken === 1 ? 'is' : 'are'} broken`, EXIT.broken)
  })
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d{1,10}$/.test(text) && value >= least && value <= most) return value
    throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`)
  }
}

/** How many promises are broken. */
async function prove(options: ProveOptions): Promise<number> {
  if (options.check !== undefined) checkReadable(options.check)
  if (options.history !== undefined) checkWritable(options.history)
  const history = options.check === undefined ? await record(options) : await readHistory(options.check)
  if (options.history !== undefined) await writeHistory(options.history, history)
  const verdict = checkHistory(history)
  const { run, dump } = history
  const isNew = options.check === undefined
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ run, after: dump.after, head: dump.head, ...verdict }, null, 2)}\n`
      : `${describeVerdict(history, verdict)}\n${isNew ? `\n${describeRemains(history, verdict)}\n` : ''}`,
  )
  return new Set(verdict.findings.map(({ rule }) => rule)).size
}

async function record(options: ProveOptions): Promise<History> {
  const { url, token, clients, seconds, rate, seed = randomInt(2 ** 31) } = options
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), seconds * 1_000)
  // Ctrl-C ends the writing; what was done up to then is judged.
  const end = () => stop.abort()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, end)
  process.stderr.write(`proving ${url} for ${seconds} s, seed ${seed}; Ctrl-C ends it early\n`)
  const progress = startProgress(seconds * 1_000, 'proving')
  const startedAt = performance.now()
  try {
    return await runWorkload({
      url,
      token,
      clients,
      seed,
      ...(rate === 0 ? {} : { rate }),
      signal: stop.signal,
      onProgress: ({ followed }) => progress.update(performance.now() - startedAt, followed),
    })
  } catch (error) {
    if (!(error instanceof AnnalsError)) throw error
    if (error.code === 'unreachable') throw unreachable(url, error)
    throw new ServiceError(`the service answered ${error.status} ${error.code}: ${error.message}`)
  } finally {
    progress.stop()
    clearTimeout(timer)
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, end)
  }
}
