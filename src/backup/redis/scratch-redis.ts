// A Redis of its own on the file of a backup, reached by a socket in its folder, gone afterwards.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { asBackupError, BackupError } from '../backup-error.ts'
import { toolEnvironment } from '../postgres-tools/environment.ts'
import { makeWorkFolder } from '../work-folder.ts'
import { connectToRedis } from './connect.ts'
import { findRedisProgram } from './programs.ts'

const START_MS = 60_000
const TRY_MS = 50
const KEPT_BYTES = 2_000
const FILE = 'dump.rdb'

/** @throws BackupError `refused` without redis-server, `failed` when that can't read the file */
export async function withScratchRedis<T>(
  rdb: string,
  signal: AbortSignal,
  work: (redis: Redis) => Promise<T>,
): Promise<T> {
  const { path } = findRedisProgram('redis-server')
  const { folder, release } = await makeWorkFolder()
  let child: ChildProcess | undefined
  try {
    await copyFile(rdb, join(folder, FILE))
    const socket = join(folder, 'redis.sock')
    const args = [
      '--port',
      '0',
      '--unixsocket',
      socket,
      '--unixsocketperm',
      '700',
      '--dir',
      folder,
      '--dbfilename',
      FILE,
    ]
    child = spawn(path, [...args, '--save', '', '--appendonly', 'no', '--daemonize', 'no', '--loglevel', 'notice'], {
      ...{ cwd: folder, env: toolEnvironment(), stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGKILL' },
    })
    const redis = await whenItAnswers(child, socket, signal)
    try {
      return await work(redis)
    } finally {
      redis.disconnect()
    }
  } catch (error) {
    throw asBackupError(error, signal)
  } finally {
    await end(child)
    await release()
  }
}

async function whenItAnswers(child: ChildProcess, socket: string, signal: AbortSignal): Promise<Redis> {
  let said = ''
  const listen = (piece: Buffer) => {
    said = (said + piece.toString()).slice(-KEPT_BYTES)
  }
  child.stdout?.on('data', listen)
  child.stderr?.on('data', listen)
  let failure: string | undefined
  child.once('error', (error) => {
    failure = error.message
  })
  child.once('exit', (code, killedBy) => {
    failure = `it ended with ${killedBy ?? `exit code ${code}`}`
  })
  for (const startedAt = performance.now(); ; ) {
    signal.throwIfAborted()
    if (failure !== undefined || performance.now() - startedAt > START_MS) {
      const evidence = said.split('\n').filter((line) => line !== '')
      throw new BackupError(
        'failed',
        `a Redis on the file of the backup does not start: ${failure ?? 'it does not answer'}`,
        {
          evidence: evidence.slice(-5),
        },
      )
    }
    const redis = await connectToRedis(socket).catch(() => undefined)
    if (redis !== undefined) return redis
    await sleep(TRY_MS)
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
