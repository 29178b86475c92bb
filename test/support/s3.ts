// A local service that speaks S3, over a folder of its own.

import type { AddressInfo } from 'node:net'
import S3rver from '@20minutes/s3rver'
import { type Teardown, testFolder } from './postgres.ts'

export interface TestS3 {
  /** The settings that lead to it. */
  access: {
    AWS_ENDPOINT_URL: string
    AWS_ACCESS_KEY_ID: string
    AWS_SECRET_ACCESS_KEY: string
    AWS_REGION: string
  }
  bucket: string
  /** Where it keeps the objects, each in a file whose name begins with the last part of its key. */
  folder: string
}

export async function startTestS3(t: Teardown, bucket = 'backups'): Promise<TestS3> {
  const folder = testFolder(t)
  const server = new S3rver({
    ...{ address: '127.0.0.1', port: 0, silent: true, directory: folder },
    configureBuckets: [{ name: bucket, configs: [] }],
  })
  // It checks signatures without the slash that the SDK has after the name of a bucket.
  server.middleware.unshift((context, next) => {
    if (/^\/[^/]+\/$/.test(context.path)) {
      context.mountPath = '/'
      Object.defineProperty(context.state, 'vhost', { get: () => true, set() {} })
    }
    return next()
  })
  const { port } = (await server.run()) as AddressInfo
  t.teardown(() => server.close())
  return {
    access: {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
      // The keys that it knows.
      AWS_ACCESS_KEY_ID: 'S3RVER',
      AWS_SECRET_ACCESS_KEY: 'S3RVER',
      AWS_REGION: 'us-east-1',
    },
    bucket,
    folder,
  }
}
