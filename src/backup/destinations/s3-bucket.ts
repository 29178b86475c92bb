// One bucket of an S3-compatible service, as far as backups need it.

import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { BackupError, describeCause } from '../backup-error.ts'

/** The settings of that name. */
export interface S3Access {
  AWS_ENDPOINT_URL?: string
  AWS_REGION?: string
  AWS_ACCESS_KEY_ID?: string
  AWS_SECRET_ACCESS_KEY?: string
  AWS_SESSION_TOKEN?: string
}

const PART_BYTES = 16 * 1024 * 1024
const PARTS_AT_ONCE = 3
const ATTEMPTS = 4

/** Loaded when a bucket is really used: it takes longer than all the rest of a start. */
async function load(access: S3Access) {
  const [sdk, { Upload }] = await Promise.all([import('@aws-sdk/client-s3'), import('@aws-sdk/lib-storage')])
  return { sdk, Upload, client: new sdk.S3Client(clientConfig(access)) as S3Client }
}

export class S3Bucket {
  readonly #bucket: string
  readonly #access: S3Access
  #loading: ReturnType<typeof load> | undefined

  constructor(bucket: string, access: S3Access) {
    this.#bucket = bucket
    this.#access = access
  }

  #loaded(): ReturnType<typeof load> {
    this.#loading ??= load(this.#access)
    return this.#loading
  }

  /** In parts when it is large; what is broken off is aborted on the other side. */
  async put(key: string, body: string | Buffer, signal: AbortSignal): Promise<void>
  async put(key: string, body: { file: string }, signal: AbortSignal, onBytes?: (sent: number) => void): Promise<void>
  async put(
    key: string,
    body: string | Buffer | { file: string },
    signal: AbortSignal,
    onBytes?: (sent: number) => void,
  ): Promise<void> {
    const isFile = typeof body === 'object' && 'file' in body
    const { Upload, client } = await this.#loaded()
    const upload = new Upload({
      client,
      params: { Bucket: this.#bucket, Key: key, Body: isFile ? createReadStream(body.file) : body },
      partSize: PART_BYTES,
      queueSize: PARTS_AT_ONCE,
    })
    const abort = () => void upload.abort()
    signal.addEventListener('abort', abort, { once: true })
    upload.on('httpUploadProgress', ({ loaded }) => onBytes?.(loaded ?? 0))
    try {
      signal.throwIfAborted()
      await this.#ask(() => upload.done())
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** @throws BackupError `not_found` */
  async get(key: string, signal?: AbortSignal): Promise<Readable> {
    const { sdk, client } = await this.#loaded()
    const command = new sdk.GetObjectCommand({ Bucket: this.#bucket, Key: key })
    const { Body } = await this.#ask(() => client.send(command, signal && { abortSignal: signal }), key)
    return Body as Readable
  }

  /** @throws BackupError `not_found` */
  async getText(key: string): Promise<string> {
    const pieces: Buffer[] = []
    for await (const piece of await this.get(key)) pieces.push(piece as Buffer)
    return Buffer.concat(pieces).toString()
  }

  async has(key: string): Promise<boolean> {
    const { sdk, client } = await this.#loaded()
    const command = new sdk.HeadObjectCommand({ Bucket: this.#bucket, Key: key })
    try {
      await this.#ask(() => client.send(command), key)
      return true
    } catch (error) {
      if (error instanceof BackupError && error.kind === 'not_found') return false
      throw error
    }
  }

  /** What stands below `prefix`: whole keys, or the names of what is like a folder. */
  async list(prefix: string, what: 'keys' | 'folders'): Promise<string[]> {
    const { sdk, client } = await this.#loaded()
    const found: string[] = []
    for (let token: string | undefined; ; ) {
      const command = new sdk.ListObjectsV2Command({
        ...{ Bucket: this.#bucket, Prefix: prefix, ContinuationToken: token },
        ...(what === 'folders' && { Delimiter: '/' }),
      })
      const page = await this.#ask(() => client.send(command))
      found.push(
        ...(what === 'keys'
          ? (page.Contents ?? []).map(({ Key = '' }) => Key)
          : (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix.slice(prefix.length, -1))),
      )
      token = page.NextContinuationToken
      if (token === undefined) return found
    }
  }

  async remove(keys: string[]): Promise<void> {
    const { sdk, client } = await this.#loaded()
    for (let at = 0; at < keys.length; at += 1_000) {
      const Objects = keys.slice(at, at + 1_000).map((Key) => ({ Key }))
      const command = new sdk.DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects, Quiet: true } })
      const { Errors: [first] = [] } = await this.#ask(() => client.send(command))
      if (first !== undefined) throw new BackupError('failed', `${first.Key} can't be removed: ${first.Message}`)
    }
  }

  async #ask<T>(send: () => Promise<T>, key?: string): Promise<T> {
    try {
      return await send()
    } catch (cause) {
      throw inWords(cause, this.#bucket, key)
    }
  }
}

function clientConfig(access: S3Access): S3ClientConfig {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = access
  return {
    region: access.AWS_REGION ?? 'us-east-1',
    maxAttempts: ATTEMPTS,
    ...(access.AWS_ENDPOINT_URL !== undefined && { endpoint: access.AWS_ENDPOINT_URL, forcePathStyle: true }),
    ...(id !== undefined &&
      secret !== undefined && {
        credentials: { accessKeyId: id, secretAccessKey: secret, ...(token !== undefined && { sessionToken: token }) },
      }),
    // Not every compatible service knows the newer checksums; what is stored is read back and hashed instead.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  }
}

function inWords(cause: unknown, bucket: string, key?: string): BackupError {
  const { name, $metadata } = cause as Error & { $metadata?: { httpStatusCode?: number } }
  const status = $metadata?.httpStatusCode
  if (name === 'NoSuchBucket') return new BackupError('refused', `there is no bucket ${bucket}`, { cause })
  if (name === 'NoSuchKey' || (status === 404 && key !== undefined)) {
    return new BackupError('not_found', `there is no ${key} in bucket ${bucket}`, { cause })
  }
  if (name === 'CredentialsProviderError') {
    return new BackupError('refused', 'there are no keys for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY', {
      cause,
    })
  }
  if (status === 401 || status === 403) {
    return new BackupError('refused', `bucket ${bucket} refuses these keys (${name})`, { cause })
  }
  if (name === 'AbortError') return new BackupError('stopped', 'it was stopped, and nothing of it is left', { cause })
  return new BackupError('failed', `bucket ${bucket} can't be used: ${describeCause(cause)}`, { cause })
}
