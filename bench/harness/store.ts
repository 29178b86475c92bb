// A store under test: a database of its own with a service on it.

import pg from 'pg'
import { type Acknowledged, checkStore } from './check-store.ts'
import { FIRST_SERIAL } from './events.ts'
import { type LoadTask, runLoad, type Work } from './load.ts'
import type { Bench } from './scenario.ts'
import { type RunningService, startService } from './service.ts'
import type { Figures } from './statistics.ts'

/** Streams that random appends are spread over. */
export const RANDOM_STREAMS = 1_000_000
const SERIALS_PER_LOAD = 100_000_000
const WARM_UP_SECONDS = 0.5

export class Store {
  readonly bench: Bench
  readonly databaseUrl: string
  readonly client: pg.Client
  readonly service: RunningService
  readonly #acknowledged: Acknowledged[] = []
  #loads = 0
  /** Events that came by other ways than {@link load}. */
  otherEvents = 0

  constructor(bench: Bench, databaseUrl: string, client: pg.Client, service: RunningService) {
    this.bench = bench
    this.databaseUrl = databaseUrl
    this.client = client
    this.service = service
  }

  /** Serial numbers that no other load of this store uses. */
  nextSerial(): number {
    return FIRST_SERIAL + SERIALS_PER_LOAD * this.#loads++
  }

  /** Appends without a condition, of one event to one of {@link RANDOM_STREAMS} unless told otherwise. */
  appends(options: { streams?: number; eventsPerRequest?: number } = {}): Work {
    const { streams = RANDOM_STREAMS, eventsPerRequest = 1 } = options
    return { kind: 'append', streams, eventsPerRequest, firstSerial: this.nextSerial() }
  }

  /** As many such appends as are answered in `seconds`. */
  append(seconds: number, connections: number, options?: { streams?: number; eventsPerRequest?: number }) {
    return this.load({ connections, seconds, work: this.appends(options) })
  }

  /**
   * One load; figures per second and per event. With several services on the database `services` share the
   * connections.
   */
  async load(
    task: Omit<LoadTask, 'port' | 'warmUpSeconds'>,
    services: RunningService[] = [this.service],
  ): Promise<Figures> {
    const { server } = this.bench
    const eventsPerRequest = task.work.kind === 'append' ? task.work.eventsPerRequest : 1
    const nodeSeconds = () => services.reduce((sum, service) => sum + service.processorSeconds(), 0)
    let node = 0
    let postgres = 0
    const results = await Promise.all(
      services.map((service, i) =>
        runLoad(
          { ...share(task, services.length, i), port: service.port, warmUpSeconds: WARM_UP_SECONDS },
          i > 0
            ? undefined
            : () => {
                node = nodeSeconds()
                postgres = server.processorSeconds()
              },
        ),
      ),
    )
    node = nodeSeconds() - node
    postgres = server.processorSeconds() - postgres
    for (const { positions, serials } of results) this.#acknowledged.push({ positions, serials, eventsPerRequest })
    const events = results.reduce((sum, { answers }) => sum + answers, 0) * eventsPerRequest
    return {
      per_second: results.reduce((sum, { answers, seconds }) => sum + answers / seconds, 0) * eventsPerRequest,
      p50_ms: Math.max(...results.map(({ p50Ms }) => p50Ms)),
      p99_ms: Math.max(...results.map(({ p99Ms }) => p99Ms)),
      node_us: (node / events) * 1e6,
      postgres_us: (postgres / events) * 1e6,
      generator_cores: results.reduce((sum, { generatorCores }) => sum + generatorCores, 0),
    }
  }

  /** As {@link checkStore}, for all loads so far. */
  async check(): Promise<void> {
    const events = await checkStore(this.client, this.#acknowledged, this.otherEvents)
    this.bench.say(`checked: ${events} events, contiguous, each where its acknowledgement said`)
  }
}

/** A new database with a service on it, and beside the store's table one of the same make for what is compared. */
export async function openStore(bench: Bench): Promise<Store> {
  const databaseUrl = await bench.server.createDatabase(bench.closers)
  const service = await startService(bench.closers, bench.program, { DATABASE_URL: databaseUrl })
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  bench.closers.add(() => client.end())
  await client.query('CREATE SCHEMA raw')
  await client.query('CREATE TABLE raw.events (LIKE public.events INCLUDING ALL)')
  return new Store(bench, databaseUrl, client, service)
}

function share(task: Omit<LoadTask, 'port' | 'warmUpSeconds'>, parts: number, part: number) {
  const { work } = task
  const connections = task.connections / parts
  if (work.kind !== 'append') return { ...task, connections }
  return { ...task, connections, work: { ...work, firstSerial: work.firstSerial + (part * SERIALS_PER_LOAD) / parts } }
}
