// The file of a backup of Redis, and what redis-check-rdb says of it.

import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { BackupError } from '../backup-error.ts'
import type { OpenBackup } from '../driver.ts'
import { runProgram } from '../postgres-tools/run-program.ts'
import { findRedisProgram } from './programs.ts'

const RedisDetails = Type.Object({
  file: Type.String(),
  /** Of the server that it was taken from. */
  redis_version: Type.String(),
  /** Of all its databases. */
  keys: Type.Integer({ minimum: 0 }),
})
export type RedisDetails = Static<typeof RedisDetails>

export const rdbFileName = (id: string): string => `${id}.rdb`

/** @throws BackupError `damaged` for a manifest that contradicts itself */
export function openRdb(chain: OpenBackup[]): { path: string; id: string; details: RedisDetails } {
  const [backup] = chain
  if (backup === undefined || chain.length > 1) {
    throw new BackupError('damaged', 'a backup of Redis does not add to another one')
  }
  const { id, details, files } = backup.manifest
  const error = Value.Errors(RedisDetails, details).First()
  if (error !== undefined) {
    throw new BackupError('damaged', `the manifest of ${id} is not that of Redis: ${error.path}: ${error.message}`)
  }
  const { file } = details as RedisDetails
  if (files.length !== 1 || files[0]?.name !== file) {
    throw new BackupError('damaged', `the manifest of ${id} lists other files than ${file}`)
  }
  return { path: join(backup.folder, file), id, details: details as RedisDetails }
}

/** Reads the file to its end, checksum included. @throws BackupError `damaged` */
export async function checkRdb(path: string, signal: AbortSignal): Promise<Omit<RedisDetails, 'file'>> {
  const output = new PassThrough()
  const saying = text(output)
  try {
    await runProgram(findRedisProgram('redis-check-rdb'), { args: [path], signal, output })
  } catch (cause) {
    output.end()
    if (!(cause instanceof BackupError) || cause.kind !== 'failed') throw cause
    const evidence = (await saying).split('\n').filter((line) => /ERROR|offset|info/.test(line))
    throw new BackupError('damaged', 'redis-check-rdb finds the file damaged', { cause, evidence: evidence.slice(-5) })
  }
  const said = await saying
  const version = /AUX FIELD redis-ver = '([^']*)'/.exec(said)?.[1]
  const keys = /^\[info\] (\d+) keys read$/m.exec(said)?.[1]
  if (version !== undefined && keys !== undefined) return { redis_version: version, keys: Number(keys) }
  throw new BackupError('failed', 'redis-check-rdb does not say how many keys it read')
}
