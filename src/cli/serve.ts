import { Command } from 'commander'
import { loadSettings, withEnvFile } from '../config.ts'
import { openLog } from '../logger.ts'
import { startService } from '../service.ts'

/** `annals serve`: runs until it is told to stop. */
export function serveCommand(): Command {
  return new Command('serve').description('Start the service').action(async () => {
    const { settings } = loadSettings(withEnvFile(process.env, process.cwd()))
    const log = openLog(settings)
    const service = await startService({ settings, log })
    await service.ready
    const stopped = new Promise<void>((resolve) => {
      process.once('SIGTERM', () => resolve())
      process.once('SIGINT', () => resolve())
    })
    await stopped
    await service.close()
    log.flush()
  })
}
