// annals tail: a live view of events in the terminal.

import { once } from 'node:events'
import { styleText } from 'node:util'
import { Command, InvalidArgumentError, Option } from 'commander'
import { type AnnalsClient, AnnalsError, createClient, type FollowOptions, type StoredEvent } from '../client/client.ts'
import { EventLines } from './event-line.ts'
import { ServiceError, type ServiceOptions, serviceOptions, unreachable } from './http-client.ts'

interface TailOptions extends ServiceOptions {
  streamPrefix?: string
  type?: string[]
  stream?: string
  after?: number | 'head'
  lines: number
  json: boolean
}

/** `annals tail`: until Ctrl-C, SIGTERM, or nobody reads any more. */
export function tailCommand(): Command {
  const command = new Command('tail')
    .description('show the last events of a running service, and new ones as they are stored')
    .option('--stream-prefix <text>', 'only streams whose id starts with this')
    .option('--type <type>', 'only events of this type; repeatable', (type, types?: string[]) => [
      ...(types ?? []),
      type,
    ])
    .addOption(new Option('--stream <id>', 'only this stream').conflicts('streamPrefix'))
    .option('--after <position>', 'begin after this position (with --stream: version), or at the `head`', readCursor)
    .option('-n, --lines <count>', 'without --after: how many of the last events come first', readLines, 10)
    .option('--json', 'print each event as JSON (a number beyond a double is rounded)', false)
  for (const option of serviceOptions()) command.addOption(option)
  return command.action(tail)
}

function readCursor(text: string): number | 'head' {
  if (text === 'head') return text
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It is a whole number from 0, or head.')
}

function readLines(text: string): number {
  if (/^\d{1,4}$/.test(text) && Number(text) <= 1_000) return Number(text)
  throw new InvalidArgumentError('It is a whole number from 0 to 1000.')
}

async function tail(options: TailOptions): Promise<void> {
  const { url, token, stream, streamPrefix, type: types } = options
  const stop = new AbortController()
  const { signal } = stop
  const end = () => stop.abort()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, end)
  // `annals tail | head`
  process.stdout.once('error', end)
  const format = options.json ? (event: StoredEvent) => JSON.stringify(event) : forPeople()
  const print = async (event: StoredEvent) => {
    if (!process.stdout.write(`${format(event)}\n`)) await once(process.stdout, 'drain', { signal })
  }
  try {
    // What can't be reached now is a mistake; a connection that is lost later is tried again for ever.
    const client = createClient({ url, token, retry: { attempts: 1, maxDelayMs: 10_000 } })
    const head = await client.head({ signal })
    const what = stream === undefined ? { streamPrefix, types } : { stream, types }
    let after = options.after
    if (after === undefined) {
      const last = await readLast(client, what, head, options.lines, signal)
      for (const event of last.events) await print(event)
      after = last.cursor
    }
    for await (const event of client.follow({ ...what, after, signal, ...announcements(url) })) await print(event)
  } catch (error) {
    if (!signal.aborted) throw inWords(error, url)
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, end)
    process.stdout.off('error', end)
  }
}

type What =
  | { streamPrefix: string | undefined; types: string[] | undefined; stream?: undefined }
  | {
      stream: string
      types: string[] | undefined
    }

/** The last events in their order, and after which number to go on. */
async function readLast(
  client: AnnalsClient,
  what: What,
  head: number,
  count: number,
  signal: AbortSignal,
): Promise<{ events: StoredEvent[]; cursor: number }> {
  const options = { direction: 'backward', pageSize: Math.max(count, 1), types: what.types, signal } as const
  const events: StoredEvent[] = []
  let cursor = head
  try {
    if (what.stream !== undefined) cursor = (await client.streamInfo(what.stream, { signal })).version
    const reader =
      what.stream === undefined
        ? client.readFeed({ ...options, streamPrefix: what.streamPrefix, before: head + 1 })
        : client.readStream(what.stream, { ...options, fromVersion: cursor })
    if (count > 0) for await (const event of reader) if (events.push(event) === count) break
  } catch (error) {
    if (!(error instanceof AnnalsError)) throw error
    if (error.code === 'stream_not_found') return { events: [], cursor: 0 }
    // A filter that matches rarely can take longer than the service allows; what comes now is worth more.
    if (!error.retryable) throw error
    say('yellow', `The last events could not be read: ${error.message}`)
  }
  return { events: events.toReversed(), cursor }
}

/** Tells on standard error what happens to the connection: once that it is lost, once that it is back. */
function announcements(url: string): Pick<FollowOptions, 'onConnect' | 'onDisconnect'> {
  let lostAt: number | undefined
  let isFirst = true
  return {
    onConnect(cursor) {
      if (isFirst) say('dim', `following ${url} from ${cursor + 1} on; Ctrl-C ends it`)
      else if (lostAt !== undefined) say('green', `connected again after ${secondsSince(lostAt)} s; nothing was missed`)
      isFirst = false
      lostAt = undefined
    },
    onDisconnect({ message }) {
      if (lostAt === undefined) say('yellow', `The connection is lost, trying again. ${message}`)
      lostAt ??= performance.now()
    },
  }
}

const secondsSince = (time: number) => ((performance.now() - time) / 1000).toFixed(1)

// hasColors() heeds NO_COLOR, FORCE_COLOR and TERM.
const isColoured = (stream: NodeJS.WriteStream) => stream.isTTY && stream.hasColors()

function say(style: 'dim' | 'green' | 'yellow', text: string): void {
  process.stderr.write(`${isColoured(process.stderr) ? styleText(style, text, { validateStream: false }) : text}\n`)
}

function forPeople(): (event: StoredEvent) => string {
  const { stdout } = process
  const lines = new EventLines({
    isColoured: isColoured(stdout),
    columns: () => (stdout.isTTY ? stdout.columns : undefined),
  })
  return (event) => lines.format(event)
}

function inWords(error: unknown, url: string): unknown {
  if (!(error instanceof AnnalsError)) return error
  if (error.code === 'unreachable') return unreachable(url, error)
  return new ServiceError(`the service answered ${error.status} ${error.code}: ${error.message}`)
}
