// annals import: events from a file of lines into a running service.

import { createReadStream, statSync } from 'node:fs'
import { pipeline, type Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGunzip } from 'node:zlib'
import { Command } from 'commander'
import {
  type Refusal,
  readBody,
  requestService,
  ServiceError,
  type ServiceOptions,
  serviceOptions,
} from './http-client.ts'
import { checkReadable } from './named-files.ts'
import { count, startProgress } from './progress.ts'

/** Lines of one request: enough that the gate's batches are full, small enough to resume cheaply. */
const CHUNK_BYTES = 2 * 1024 * 1024
const CHUNK_LINES = 5_000
const MAX_RETRIES = 5

interface Imported {
  stored: number
  already_stored: number
  failed: number
  failures: { line: number; code: string; detail: string }[]
}

interface Chunk {
  body: Buffer
  lines: number
  /** Lines before this chunk, empty ones included. */
  firstLine: number
}

/** `annals import FILE`. Exit code 1 when an event could not be stored. */
export function importCommand(): Command {
  const command = new Command('import')
    .description(
      'append the events of a file (one JSON object a line, .gz too, - for standard input) to a running service',
    )
    .argument('<file>', 'file of lines as `annals export` writes them')
  for (const option of serviceOptions()) command.addOption(option)
  return command.action(async (file: string, service: ServiceOptions) => {
    const total = await importFile(file, service)
    if (total.failed > 0) throw new ServiceError(`${count(total.failed)} events could not be stored`)
  })
}

async function importFile(file: string, service: ServiceOptions): Promise<Imported> {
  const source = openSource(file)
  const progress = startProgress(source.size, 'importing')
  const startedAt = performance.now()
  const total: Imported = { stored: 0, already_stored: 0, failed: 0, failures: [] }
  // While one chunk is being stored the service already reads the next, and this side the one after that.
  let storing: Promise<void> = Promise.resolve()
  let reading: Promise<void> = Promise.resolve()
  try {
    for await (const chunk of chunksOf(source.stream)) {
      await storing
      storing = reading
      reading = send(chunk, service, storing).then((imported) => {
        add(total, imported, chunk)
        progress.update(source.read(), total.stored + total.already_stored)
      })
      reading.catch(() => {})
    }
    await storing
    await reading
  } finally {
    progress.stop()
  }
  report(total, (performance.now() - startedAt) / 1000)
  return total
}

function openSource(file: string): { stream: Readable; size: number; read(): number } {
  if (file === '-') return { stream: process.stdin, size: 0, read: () => 0 }
  checkReadable(file)
  const size = statSync(file).size
  const raw = createReadStream(file, { highWaterMark: 256 * 1024 })
  const stream = file.endsWith('.gz') ? pipeline(raw, createGunzip(), () => {}) : raw
  return { stream, size, read: () => raw.bytesRead }
}

async function* chunksOf(stream: Readable): AsyncGenerator<Chunk> {
  let parts: Buffer[] = []
  let bytes = 0
  let lines = 0
  let firstLine = 0
  const take = (): Chunk => {
    const chunk = { body: Buffer.concat(parts), lines, firstLine }
    firstLine += lines
    parts = []
    bytes = 0
    lines = 0
    return chunk
  }
  for await (const data of stream) {
    let rest = data as Buffer
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a)) {
      parts.push(rest.subarray(0, end + 1))
      bytes += end + 1
      lines++
      rest = rest.subarray(end + 1)
      if (bytes >= CHUNK_BYTES || lines === CHUNK_LINES) yield take()
    }
    parts.push(rest)
    bytes += rest.length
  }
  if (bytes > 0) {
    lines++
    yield take()
  }
}

/** Sends a chunk, the end of it once `before` is stored, so that the order of the lines is kept. */
async function send(chunk: Chunk, service: ServiceOptions, before: Promise<void>): Promise<Imported> {
  const slow = { length: chunk.body.length, parts: heldBack(chunk.body, before) }
  for (let retry = 0; ; retry++) {
    try {
      const headers = { 'content-type': 'application/x-ndjson' }
      const body = retry === 0 ? slow : chunk.body
      const response = await requestService(service, 'POST', 'import', { headers, body })
      return JSON.parse(await readBody(response)) as Imported
    } catch (error) {
      await before
      if (!isWorthAnotherTry(error, chunk) || retry === MAX_RETRIES) throw inFile(error, chunk)
      await sleep(Math.max(1000 * (retry + 1), error.refusal.retryAfterMs))
    }
  }
}

/** Without its last byte the service can not take a chunk for whole, but it can read all other lines. */
async function* heldBack(body: Buffer, before: Promise<void>): AsyncGenerator<Buffer> {
  yield body.subarray(0, -1)
  await before
  yield body.subarray(-1)
}

/** Of a chunk whose end was not waited for, or that was not let in, nothing is stored. */
const NOTHING_STORED = [408, 429]

// Events with ids of their own are recognised when they come again; others are not, so they are repeated only when nothing
// of them can be stored.
const isWorthAnotherTry = (error: unknown, { body }: Chunk): error is ServiceError & { refusal: Refusal } =>
  error instanceof ServiceError &&
  error.refusal?.isRetryable === true &&
  (NOTHING_STORED.includes(error.refusal.status) || haveIds(body))

const haveIds = (body: Buffer): boolean =>
  body
    .toString()
    .split('\n')
    .every((line) => line.trim() === '' || typeof (JSON.parse(line) as { id?: unknown }).id === 'string')

const inFile = (error: unknown, chunk: Chunk): unknown =>
  error instanceof ServiceError && chunk.firstLine > 0
    ? new ServiceError(`after ${count(chunk.firstLine)} lines (line numbers below count from there): ${error.message}`)
    : error

function add(total: Imported, imported: Imported, chunk: Chunk): void {
  total.stored += imported.stored
  total.already_stored += imported.already_stored
  total.failed += imported.failed
  for (const failure of imported.failures) total.failures.push({ ...failure, line: failure.line + chunk.firstLine })
}

const SHOWN_FAILURES = 10

function report(total: Imported, seconds: number): void {
  const events = total.stored + total.already_stored
  const rate = count(Math.round(events / Math.max(seconds, 0.001)))
  process.stdout.write(
    `${count(total.stored)} events stored, ${count(total.already_stored)} were already there` +
      ` (${seconds.toFixed(1)} s, ${rate} events/s)\n`,
  )
  for (const { line, code, detail } of total.failures.slice(0, SHOWN_FAILURES)) {
    process.stderr.write(`line ${line}: ${code}: ${detail}\n`)
  }
}
