import { resolve } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Command } from 'commander'
import { loadSettings, withEnvFile } from '../config.ts'
import { type EmbeddedPostgres, hasEmbeddedData, startEmbeddedPostgres } from '../db/embedded/embedded-postgres.ts'
import { type Log, openLog } from '../logger.ts'
import type { Service } from '../service.ts'
import type { Settings } from '../settings.ts'
import { VERSION } from '../version.ts'

/** `annals serve`: runs until SIGTERM or SIGINT, then drains; a second signal ends it at once. */
export function serveCommand(): Command {
  return new Command('serve')
    .description('start the service, with a PostgreSQL of its own unless DATABASE_URL names one')
    .addHelpText('after', '\nSettings come from the environment and from .env; docs/reference/settings.md lists them.')
    .action(async () => {
      keepObjectsYoung()
      const { settings } = loadSettings(withEnvFile(process.env, process.cwd()))
      const log = openLog(settings)
      try {
        await serve(settings, log)
      } finally {
        await log.flush()
      }
    })
}

// V8 makes objects of a kind that survives in the old generation at once. While the first clients come and the young one is
// still small, all that is in flight survives, so it decided so for parts of a request: all that they lead to is then kept until
// the next full collection, for as long as the process runs (docs/decisions/0011). Only the process's owner may say so.
function keepObjectsYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}

async function serve(settings: Readonly<Settings>, log: Log): Promise<void> {
  const stopped = untilStopped(log)
  const embedded = startEarly(settings, log)
  let service: Service
  try {
    const { startService } = await import('../service.ts')
    service = await startService({ settings, log, embedded })
  } catch (error) {
    await embedded?.then(
      (server) => server.stop(),
      () => {},
    )
    throw withHint(error as NodeJS.ErrnoException, settings)
  }
  try {
    // Stopping while the database is still awaited is stopping too.
    const isReady = await Promise.race([service.ready.then(() => true), stopped.then(() => false)])
    if (isReady) console.error(greeting(service, settings))
    await stopped
  } finally {
    await service.close()
  }
}

// While the modules of the service are loaded PostgreSQL can start: a tenth of the time of both. A new folder is only made
// when all settings are known to be fine.
function startEarly({ DATABASE_URL, DATA_DIR }: Readonly<Settings>, log: Log): Promise<EmbeddedPostgres> | undefined {
  if (DATABASE_URL !== undefined || !hasEmbeddedData(DATA_DIR)) return undefined
  const starting = startEmbeddedPostgres({ dataDir: DATA_DIR, log: log.logger, mayMoveData: true })
  // The service awaits it; until then a failure must not count as unhandled.
  starting.catch(() => {})
  return starting
}

/** Resolves at the first signal; rejects when something was thrown that nobody caught. */
function untilStopped(log: Log): Promise<void> {
  process.on('unhandledRejection', (error) => log.logger.error({ err: error }, 'a promise was rejected unheard'))
  return new Promise((resolve, reject) => {
    const stop = () => {
      // With no listener left the next signal has its usual effect.
      process.off('SIGTERM', stop)
      process.off('SIGINT', stop)
      resolve()
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
    process.once('uncaughtException', (error) => {
      log.logger.fatal({ err: error }, 'an error was thrown that nobody caught')
      reject(error)
    })
  })
}

function withHint(error: NodeJS.ErrnoException, { HOST, PORT }: Readonly<Settings>): Error {
  const taken = (error as { port?: number }).port ?? PORT
  const port = taken === PORT ? 'PORT' : 'METRICS_PORT'
  switch (error.code) {
    case 'EADDRINUSE':
      return new Error(`port ${taken} is in use: stop what listens there, or set ${port} to another one`)
    case 'EACCES':
      return new Error(`port ${taken} is not for this user: set ${port} to one above 1023`)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Error(`HOST is ${JSON.stringify(HOST)}, which is no address of this machine`)
    default:
      return error
  }
}

/** What to try next; on standard error, so that standard output stays JSON lines. */
function greeting({ url, embedded }: Service, settings: Readonly<Settings>): string {
  const server = embedded()
  const { ANNALS_TOKENS, ANNALS_TOKENS_FILE, JWT_SECRET } = settings
  const needsToken = (ANNALS_TOKENS ?? ANNALS_TOKENS_FILE ?? JWT_SECRET) !== undefined
  const token = needsToken ? ` -H "authorization: Bearer $TOKEN"` : ''
  return [
    '',
    `Annals ${VERSION} is ready at ${url}`,
    '',
    ...(server === undefined
      ? []
      : [
          `  data      ${resolve(settings.DATA_DIR)} (PostgreSQL ${server.version}, started here)`,
          `  console   ${server.psql}`,
        ]),
    `  reference ${url}/docs`,
    '',
    'Try:',
    `  curl${token} ${url}/streams/order-1/events -H 'content-type: application/json' \\`,
    `    -d '{"events":[{"type":"OrderPlaced","data":{"total":10}}]}'`,
    `  curl${token} ${url}/streams/order-1/events`,
    `  curl${token} -N -H 'accept: application/x-ndjson' ${url}/events`,
    `  curl${token} ${url}/health`,
    '',
    'Ctrl-C stops it.',
    '',
  ].join('\n')
}
