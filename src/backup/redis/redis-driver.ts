// Backups of the Redis in which instances count together. docs/decisions/0018-libraries-of-backups.md says why by redis-cli.

import { join } from 'node:path'
import { BackupError } from '../backup-error.ts'
import type { BackupDriver, CreateRequest, CreateResult, ReadRequest } from '../driver.ts'
import { runProgram } from '../postgres-tools/run-program.ts'
import { connectToRedis } from './connect.ts'
import { findRedisProgram, redisConnection, versionOf } from './programs.ts'
import { checkRdb, openRdb, type RedisDetails, rdbFileName } from './rdb-file.ts'
import { restoreRedis, tryOutRedis } from './restore-redis.ts'

export const redisDriver: BackupDriver = {
  type: 'redis',
  about: {
    summary: 'the whole Redis of REDIS_URL, which has the counters of the rate limit, as an RDB file by redis-cli',
    advantages: [
      'one moment of it, over its connection: its files need not be in reach',
      'tried out on a Redis of its own',
    ],
    disadvantages: [
      'no events',
      'a counter is full again after seconds at most rates, so most of a restore is nothing',
      'providers that forbid SYNC do not give it out',
    ],
    needs: ['REDIS_URL', 'redis-cli and redis-check-rdb; redis-server 7 or newer to try it out and to restore it'],
  },
  isIncremental: false,
  takes: [],
  create,
  read,
  outside: { scheme: /^rediss?:\/\//, tryOut: tryOutRedis, restore: restoreRedis },
}

async function create({ id, folder, redisUrl, signal, progress }: CreateRequest): Promise<CreateResult> {
  if (redisUrl === undefined) throw new BackupError('refused', 'there is no Redis to back up: set REDIS_URL')
  const program = findRedisProgram('redis-cli')
  // It says why in words, and redis-cli would wait for ever for one that does not answer.
  const redis = await connectToRedis(redisUrl)
  redis.disconnect()
  const file = rdbFileName(id)
  const { args, env } = redisConnection(redisUrl)
  progress({ step: 'redis-cli --rdb', unit: 'bytes', done: 0, total: null })
  await runProgram(program, { args: [...args, '--rdb', join(folder, file)], env, signal })
  const details: RedisDetails = { file, ...(await checkRdb(join(folder, file), signal)) }
  return { tool: await versionOf(program), contents: null, details: { ...details } }
}

async function read({ chain, signal }: ReadRequest): Promise<void> {
  const { path, id, details } = openRdb(chain)
  const { keys } = await checkRdb(path, signal)
  if (keys !== details.keys) {
    throw new BackupError('damaged', `${id} has ${keys} keys, and its manifest says ${details.keys}`)
  }
}
