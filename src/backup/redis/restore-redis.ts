// A backup of Redis brought back: on a server of its own, or key by key into one that holds nothing.

import type { Redis } from 'ioredis'
import { redisReason } from '../../rate-limit/redis-reason.ts'
import { BUCKET_PREFIX } from '../../rate-limit/shared-buckets.ts'
import { BackupError } from '../backup-error.ts'
import type { ReadRequest } from '../driver.ts'
import { connectToRedis, databasesOf, scanKeys } from './connect.ts'
import { openRdb } from './rdb-file.ts'
import { withScratchRedis } from './scratch-redis.ts'

/** Counts what comes back, and reads every counter. @throws BackupError `different` */
export async function tryOutRedis({ chain, signal }: ReadRequest): Promise<Record<string, number>> {
  const { path, id, details } = openRdb(chain)
  return withScratchRedis(path, signal, async (redis) => {
    const { loaded, expired } = await loadedBy(redis)
    if (loaded + expired !== details.keys) {
      throw new BackupError(
        'different',
        `of the ${details.keys} keys of ${id} there are ${loaded} in a Redis that was started on it, and ${expired} had expired`,
      )
    }
    return { keys: loaded, expired, counters: await readCounters(redis) }
  })
}

async function loadedBy(redis: Redis): Promise<{ loaded: number; expired: number }> {
  const info = await redis.info('persistence')
  const [loaded, expired] = ['loaded', 'expired'].map((what) =>
    Number(new RegExp(`^rdb_last_load_keys_${what}:(\\d+)`, 'm').exec(info)?.[1]),
  )
  if (loaded === undefined || expired === undefined || Number.isNaN(loaded + expired)) {
    throw new BackupError('refused', 'redis-server here is older than 7, and does not say what it has loaded')
  }
  return { loaded, expired }
}

/** @throws BackupError `different` for one that is no moment */
async function readCounters(redis: Redis): Promise<number> {
  let counters = 0
  for (const { database } of await databasesOf(redis)) {
    await redis.select(database)
    for await (const key of scanKeys(redis, `${BUCKET_PREFIX}*`)) {
      const value = await redis.get(key)
      // It may expire on the way.
      if (value === null) continue
      if (!/^\d+(\.\d+)?$/.test(value)) throw new BackupError('different', `the counter ${key} holds no moment`)
      counters++
    }
  }
  return counters
}

/** What has expired since stays away: for the rate limit it is the same. */
export async function restoreRedis({ chain, signal, log }: ReadRequest, url: string): Promise<Record<string, number>> {
  const { path } = openRdb(chain)
  const target = await connectToRedis(url)
  const written: Written[] = []
  try {
    await refuseKeys(target)
    return await withScratchRedis(path, signal, async (source) => {
      for (const { database } of await databasesOf(source)) {
        await source.select(database)
        await target.select(database)
        for await (const key of scanKeys(source)) {
          signal.throwIfAborted()
          if (await copyKey(source, target, key)) written.push({ database, key })
        }
      }
      return { keys: written.length }
    })
  } catch (error) {
    await takeBack(target, written).catch(() => log(`up to ${written.length} keys could not be taken away again`))
    throw error
  } finally {
    target.disconnect()
  }
}

interface Written {
  database: number
  key: Buffer
}

async function refuseKeys(target: Redis): Promise<void> {
  const held = await databasesOf(target)
  if (held.length === 0) return
  const counts = held
    .map(({ database, keys }) => `${keys.toLocaleString('en-US')} key${keys === 1 ? '' : 's'} in db${database}`)
    .join(', ')
  throw new BackupError(
    'refused',
    `the Redis is not empty: it has ${counts}. Nothing was changed. Counters that are in use are newer than any backup of them`,
  )
}

/** Answers whether it was there still. @throws BackupError `failed` when the target has such a key by now, or can't take it */
async function copyKey(source: Redis, target: Redis, key: Buffer): Promise<boolean> {
  const [value, ttl] = [await source.dumpBuffer(key), await source.pttl(key)]
  if (value === null || ttl === -2) return false
  await target.restore(key, Math.max(ttl, 0), value).catch((error: unknown) => {
    const reason = redisReason(error)
    const why = reason === 'BUSYKEY' ? 'it is in use, and somebody made that key meanwhile' : reason
    throw new BackupError(
      'failed',
      `the Redis does not take the key ${key}: ${why}; what was put there is taken away again`,
    )
  })
  return true
}

async function takeBack(target: Redis, written: Written[]): Promise<void> {
  for (const { database, key } of written) {
    await target.select(database)
    await target.del(key)
  }
}
