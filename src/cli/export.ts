// annals export: every event of a running service, one a line, as `annals import` reads them.

import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { Command } from 'commander'
import { readBody, requestService, ServiceError, type ServiceOptions, serviceOptions } from './http-client.ts'
import { checkWritable } from './named-files.ts'
import { count, startProgress } from './progress.ts'
import { positionArgument } from './quantities.ts'

/** `annals export [FILE]`. A file is complete or not there: it is written beside and renamed at the end. */
export function exportCommand(): Command {
  const command = new Command('export')
    .description('write every event of a running service as one JSON object a line (gzip when the name ends in .gz)')
    .argument('[file]', 'file to write; standard output when absent or -', '-')
    .option('--after <position>', 'only events after this position', positionArgument, 0)
  for (const option of serviceOptions()) command.addOption(option)
  return command.action(async (file: string, options: ServiceOptions & { after: number }) => {
    await exportEvents(file, options, options.after)
  })
}

async function exportEvents(file: string, service: ServiceOptions, after: number): Promise<void> {
  if (file !== '-') checkWritable(file)
  const query = new URLSearchParams({ after: String(after) })
  const page = await readBody(await requestService(service, 'GET', `events?${query}&limit=1`))
  const { head } = JSON.parse(page) as { head: number }
  const expected = Math.max(head - after, 0)
  const startedAt = performance.now()
  const progress = startProgress(expected, 'exporting')
  const response = await requestService(service, 'GET', `events?${query}`, {
    headers: { accept: 'application/x-ndjson' },
  })
  let events = 0
  const counting = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) events++
      progress.update(events, events)
      done(null, chunk)
    },
  })
  const partial = `${file}.partial`
  try {
    if (file === '-') {
      await pipeline(response, counting, process.stdout)
    } else {
      const compress = file.endsWith('.gz') ? [createGzip()] : []
      await pipeline([response, counting, ...compress, createWriteStream(partial)])
      // A connection that broke off ends the pipeline with an error; a proxy that hides it does not.
      if (events < expected) throw new ServiceError(`only ${count(events)} of ${count(expected)} events arrived`)
      await rename(partial, file)
    }
  } catch (error) {
    if (file !== '-') await rm(partial, { force: true })
    throw error instanceof ServiceError ? error : new ServiceError(`the export broke off: ${(error as Error).message}`)
  } finally {
    progress.stop()
  }
  const seconds = (performance.now() - startedAt) / 1000
  process.stderr.write(
    `${count(events)} events exported (${seconds.toFixed(1)} s, ${count(Math.round(events / Math.max(seconds, 0.001)))} events/s)\n`,
  )
}
