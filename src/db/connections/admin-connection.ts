// One connection beside the pool, for health and administration: an exhausted pool must not blind the operator.

import type pg from 'pg'
import { isConnectionFailure, QueryTimeoutError } from '../pg-errors.ts'
import { MeasuredClient } from './pool-client.ts'
import { clientConfig } from './pool-options.ts'

export interface AdminConnectionOptions {
  /** Of the database itself, not of a pooler. */
  url: string
  /** That of the pool beside it; ` admin` is appended, so that the pool's connections can be counted apart. */
  applicationName: string
  /** Longest time to connect, and for the answer of one statement; default 1 s each. */
  connectTimeoutMs?: number
  queryTimeoutMs?: number
}

const DEFAULT_TIMEOUT_MS = 1_000

/** Connects at the first statement, and again after a loss. Statements run one after another. */
export class AdminConnection {
  readonly #options: AdminConnectionOptions
  #client: MeasuredClient | undefined
  #last: Promise<unknown> = Promise.resolve()
  #isEnded = false

  constructor(options: AdminConnectionOptions) {
    this.#options = options
  }

  /**
   * Runs one statement. It has to be one that may run twice: on a connection that turns out to be dead it is sent again.
   * @throws errors of `pg`, within the sum of both time-outs after its turn has come
   */
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: unknown[]): Promise<pg.QueryResult<R>> {
    const result = this.#last.then(() => this.#run<R>(text, values))
    this.#last = result.catch(() => {})
    return result
  }

  /** Closes the connection; the next statement opens another one, maybe to another server. */
  async reset(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    await client?.end()
  }

  /** Closes the connection; statements after it fail. */
  end(): Promise<void> {
    this.#isEnded = true
    return this.reset()
  }

  async #run<R extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<pg.QueryResult<R>> {
    const isReused = this.#client !== undefined
    try {
      return await this.#send<R>(text, values)
    } catch (error) {
      const isWorthRepeating = isReused && isConnectionFailure(error) && !(error instanceof QueryTimeoutError)
      if (!isWorthRepeating || this.#isEnded) throw error
      return await this.#send<R>(text, values)
    }
  }

  async #send<R extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<pg.QueryResult<R>> {
    const client = (this.#client ??= await this.#connect())
    try {
      return await client.query(text, values)
    } finally {
      if (!client.isReusable && this.#client === client) {
        this.#client = undefined
        void client.end()
      }
    }
  }

  async #connect(): Promise<MeasuredClient> {
    if (this.#isEnded) throw new Error('the connection has ended')
    const { url, applicationName, connectTimeoutMs, queryTimeoutMs } = this.#options
    const client = new MeasuredClient({
      ...clientConfig(url, `${applicationName} admin`),
      measured: {
        connectTimeoutMs: connectTimeoutMs ?? DEFAULT_TIMEOUT_MS,
        queryTimeoutMs: queryTimeoutMs ?? DEFAULT_TIMEOUT_MS,
        session: { statement_timeout: String(queryTimeoutMs ?? DEFAULT_TIMEOUT_MS) },
        onServerError() {},
      },
    })
    client.on('end', () => {
      if (this.#client === client) this.#client = undefined
    })
    await client.connect()
    return client
  }
}
