// A connection to a Redis that says at once when it can't be had.

import { Redis } from 'ioredis'
import { redisReason } from '../../rate-limit/redis-reason.ts'
import { BackupError } from '../backup-error.ts'

const CONNECT_MS = 5_000
const ANSWER_MS = 10_000

/** `address` is a URL, or the path of a socket; resolves when its data is loaded. @throws BackupError `failed` */
export async function connectToRedis(address: string): Promise<Redis> {
  const redis = new Redis(address, {
    ...{ lazyConnect: true, connectTimeout: CONNECT_MS, commandTimeout: ANSWER_MS, connectionName: 'annals backup' },
    ...{ retryStrategy: () => null, maxRetriesPerRequest: 0, enableOfflineQueue: false },
  })
  // The rejection only says that the connection is closed; the event says why.
  let reason: string | undefined
  redis.on('error', (error) => {
    reason ??= redisReason(error)
  })
  try {
    await redis.connect()
    return redis
  } catch (error) {
    redis.disconnect()
    throw new BackupError('failed', `Redis can't be used: ${reason ?? redisReason(error)}`)
  }
}

/** The numbers of the databases that hold keys. */
export async function databasesOf(redis: Redis): Promise<{ database: number; keys: number }[]> {
  const info = await redis.info('keyspace')
  return [...info.matchAll(/^db(\d+):keys=(\d+)/gm)].map(([, database, keys]) => ({
    ...{ database: Number(database), keys: Number(keys) },
  }))
}

/** Every key of the database that is selected. */
export async function* scanKeys(redis: Redis, pattern = '*'): AsyncGenerator<Buffer> {
  let cursor = '0'
  do {
    const [next, keys] = await redis.scanBuffer(cursor, 'MATCH', pattern, 'COUNT', 500)
    yield* keys
    cursor = next.toString()
  } while (cursor !== '0')
}
