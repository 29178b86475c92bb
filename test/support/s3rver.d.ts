// The part of the package that tests use; it brings no types.

declare module '@20minutes/s3rver' {
  interface S3Context {
    path: string
    mountPath?: string
    state: object
  }

  export default class S3rver {
    constructor(options: {
      address: string
      port: number
      silent: boolean
      directory: string
      configureBuckets: { name: string; configs: string[] }[]
    })
    /** Of Koa. */
    middleware: ((context: S3Context, next: () => Promise<void>) => Promise<void>)[]
    run(): Promise<unknown>
    close(): Promise<void>
  }
}
