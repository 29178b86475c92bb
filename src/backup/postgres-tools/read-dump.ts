// A dump as SQL text, whatever its format, and the check that it can be read to its end and holds what it should.

import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { BackupError, describeCause } from '../backup-error.ts'
import type { JobContext, OpenBackup, ReadRequest } from '../driver.ts'
import { dumpDetails, onlyOne } from './dump-details.ts'
import { findProgram } from './find-program.ts'
import { runProgram } from './run-program.ts'
import { SqlScan } from './sql-scan.ts'

/** Level 1: the archive is listed, decompressed to its end, and the rows of each table are counted. */
export async function readDump(request: ReadRequest): Promise<void> {
  const backup = onlyOne(request.chain)
  const { id } = backup.manifest
  const scan = new SqlScan()
  let done = 0
  const sink = new Writable({
    write(piece: Buffer, _encoding, next) {
      done += piece.length
      request.progress({ step: `reading ${id}`, unit: 'bytes', done, total: null })
      next()
    },
  })
  const drained = pipeline(scan, sink)
  drained.catch(() => {})
  await writeSql(backup, request, scan)
  await drained
  checkScan(backup, scan)
}

/** @throws BackupError `damaged` when the text broke off, or the rows are not those of the manifest */
export function checkScan({ manifest }: OpenBackup, scan: SqlScan): void {
  const { file, rows } = dumpDetails(manifest)
  if (!scan.hasEnded) throw new BackupError('damaged', `${file} breaks off before its end`)
  const tables = [...new Set([...Object.keys(rows), ...Object.keys(scan.rows)])]
  const evidence = tables
    .filter((table) => (rows[table] ?? 0) !== (scan.rows[table] ?? 0))
    .map((table) => `${table}: ${scan.rows[table] ?? 0} rows in the file, ${rows[table] ?? 0} in the manifest`)
  if (evidence.length > 0) {
    throw new BackupError('damaged', `${file} does not hold the rows that its manifest describes`, { evidence })
  }
}

/** Writes the SQL of a dump and ends the scan. @throws BackupError `damaged` when it can't be read to its end */
export async function writeSql(backup: OpenBackup, context: JobContext, scan: SqlScan): Promise<void> {
  const { format, file, tool_major: major } = dumpDetails(backup.manifest)
  const path = join(backup.folder, file)
  const damaged = (cause: unknown) => {
    context.signal.throwIfAborted()
    if (cause instanceof BackupError && cause.kind !== 'failed') throw cause
    const evidence = cause instanceof BackupError ? cause.evidence : []
    throw new BackupError('damaged', `${file} can't be read to its end: ${describeCause(cause)}`, { cause, evidence })
  }
  if (format === 'plain') {
    const source: Readable = createReadStream(path)
    const steps = file.endsWith('.gz') ? [source, createGunzip(), scan] : [source, scan]
    await pipeline(steps as [Readable, SqlScan], { signal: context.signal }).catch(damaged)
    return
  }
  const program = await findProgram('pg_restore', { pgBin: context.pgBin, major, of: 'the dump' })
  const { signal } = context
  await runProgram(program, { args: ['--list', path], signal }).catch(damaged)
  const args = ['--file=-', '--no-owner', '--no-acl', path]
  await runProgram(program, { args, signal, output: scan }).catch(damaged)
}
