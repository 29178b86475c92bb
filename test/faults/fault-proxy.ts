// A proxy before PostgreSQL that fails as networks and servers do. It knows the wire protocol, so that a fault can hit
// one statement, before the server takes it up or after it has done it.

import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../src/proof/random.ts'
import type { Teardown } from '../support/postgres.ts'
import { type Exchange, FaultyConnection, type StatementFault } from './faulty-connection.ts'

/** Where bytes get lost. */
export type Direction = 'to_server' | 'to_client' | 'both'

export interface FaultProxyOptions {
  /** The server's first answer is held back for this long. */
  answerAfterMs?: number
  /** ReadyForQuery is held back for this long, so that it comes apart from what precedes it. */
  readyAfterMs?: number
  /** Changes the process id that the server tells, as PgBouncer does. */
  changesProcessId?: boolean
}

/** Asked for every statement that a client sends; undefined lets it pass. */
export type Injection = (exchange: Exchange) => StatementFault | undefined

/** What the connections of a proxy share. */
export interface Weather {
  options: FaultProxyOptions
  inject: Injection | undefined
  latencyMs: number
  blackHole: { direction: Direction; loses: boolean } | undefined
}

export class FaultProxy {
  readonly #weather: Weather
  readonly #server: Server
  readonly #connections = new Set<FaultyConnection>()
  #target: URL
  #port = 0
  #isSilent = false

  private constructor(target: string, options: FaultProxyOptions) {
    this.#target = new URL(target)
    this.#weather = { options, inject: undefined, latencyMs: 0, blackHole: undefined }
    // Messages go one by one: gathered by the system, an answer would wait 40 ms for an acknowledgement.
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client))
  }

  /** Listens on a free loopback port, for a server with a Unix socket or a port. */
  static async start(t: Teardown, target: string, options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, options)
    await proxy.#listen()
    t.teardown(() => proxy.#stop())
    return proxy
  }

  /** The server's URL by way of the proxy. */
  get url(): string {
    const { username, password, pathname } = this.#target
    return `postgres://${username}${password && `:${password}`}@127.0.0.1:${this.#port}${pathname}`
  }

  /** Connections that a client holds at the moment. */
  get open(): number {
    return this.#connections.size
  }

  /** Leads new connections to another server; those that are open stay where they are. */
  retarget(url: string): void {
    this.#target = new URL(url)
  }

  /** Lets statements fail; undefined lets all pass. */
  inject(injection: Injection | undefined): void {
    this.#weather.inject = injection
  }

  /** Every byte comes later by this much. */
  delay(latencyMs: number): void {
    this.#weather.latencyMs = latencyMs
  }

  /**
   * Connections stay open and nothing goes through, not even their end. What is sent meanwhile comes later, as with a
   * frozen peer, or with `loses` never, as in a network that swallows packets; nor does what follows on that connection.
   */
  blackHole(direction: Direction = 'both', loses = false): void {
    this.#weather.blackHole = { direction, loses }
  }

  /** New connections are accepted, and nobody answers; those that are open go on. */
  silence(): void {
    this.#isSilent = true
  }

  /** No new connections, as when no server listens; those that are open are reset. */
  async refuse(): Promise<void> {
    if (!this.#server.listening) return
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.cut()
    await closed
  }

  /** All is well again. */
  async heal(): Promise<void> {
    this.#weather.latencyMs = 0
    this.#weather.blackHole = undefined
    this.#weather.inject = undefined
    this.#isSilent = false
    for (const connection of this.#connections) {
      if (!connection.isLinked) this.#link(connection)
      connection.resume()
    }
    if (!this.#server.listening) await this.#listen()
  }

  /** Resets every connection. */
  cut(): void {
    for (const connection of this.#connections) connection.reset()
  }

  /** Closes every connection in good order. */
  close(): void {
    for (const connection of this.#connections) connection.client.end()
  }

  /** Stops the connections one after another, and lets them go on in another order, all within twice `spreadMs`. */
  async swizzle(random: Random, spreadMs: number): Promise<void> {
    const stopped = shuffled(random, this.#connections)
    for (const connection of stopped) {
      connection.isStopped = true
      await sleep((random.next() * spreadMs * 2) / stopped.length)
    }
    for (const connection of shuffled(random, stopped)) {
      connection.isStopped = false
      connection.resume()
      await sleep((random.next() * spreadMs * 2) / stopped.length)
    }
  }

  #accept(client: Socket): void {
    const connection = new FaultyConnection(client, this.#weather, () => this.#connections.delete(connection))
    this.#connections.add(connection)
    if (!this.#isSilent) this.#link(connection)
  }

  #link(connection: FaultyConnection): void {
    const { hostname, port, searchParams } = this.#target
    const socketFolder = searchParams.get('host')
    const at = Number(port || '5432')
    connection.link(
      socketFolder === null
        ? connect({ host: hostname, port: at, noDelay: true })
        : connect(`${socketFolder}/.s.PGSQL.${at}`),
    )
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#server.off('error', reject)
        this.#port = (this.#server.address() as { port: number }).port
        resolve()
      })
    })
  }

  async #stop(): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    if (this.#server.listening) await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

function shuffled<T>(random: Random, values: Iterable<T>): T[] {
  const mixed = [...values]
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = random.between(0, i)
    ;[mixed[i], mixed[j]] = [mixed[j] as T, mixed[i] as T]
  }
  return mixed
}
