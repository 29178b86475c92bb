import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { buildApp } from './app.ts'
import { loopbackAuthorizer } from './http/authorizer.ts'
import { Lifecycle } from './http/lifecycle.ts'
import { VERSION } from './version.ts'

/** The OpenAPI document as text. */
export async function buildOpenApi(): Promise<string> {
  const app = await assembleApp()
  await app.ready()
  const document = app.swagger()
  await app.close()
  return `${JSON.stringify(document, null, 2)}\n`
}

/** The app without anything behind it, for what describes it. */
export const assembleApp = (): Promise<FastifyInstance> =>
  buildApp({
    version: VERSION,
    logger: pino({ enabled: false }),
    requestLog: { mode: 'off', slowMs: 0, write: () => {} },
    metrics: { timer: () => ({ observe() {} }), malformed() {}, surplus() {} },
    scrape: nobody,
    authorizer: loopbackAuthorizer(),
    lifecycle: new Lifecycle(),
    log: nobody,
    hub: nobody,
    epoch: nobody,
    snapshots: nobody,
    consumers: nobody,
    snapshotEvery: 1,
    migrations: nobody,
    pool: nobody,
    integrity: nobody,
    backups: { backups: nobody, types: [] },
    schedules: nobody,
    health: nobody,
    limits: { maxBodyBytes: 1, maxEvents: 1, maxEventBytes: 1, maxMetadataBytes: 1 },
  })

// Routes only hold on to what they are handed until a request comes, and none comes here.
const nobody = {} as never
