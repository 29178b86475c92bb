// A connection of the pool: opened within a deadline, answered within a deadline, and aware of its own state.

import type { Socket } from 'node:net'
import pg from 'pg'
import { ConnectTimeoutError, markNeverExecuted, markUntouched, QueryTimeoutError } from '../pg-errors.ts'
import { tapRows } from '../protocol/row-tap.ts'

const END_GRACE_MS = 1_000
const SETTLE_MS = 500

/** What the pool hands to each client beside the options of `pg`. */
export interface ClientSettings {
  connectTimeoutMs: number
  queryTimeoutMs: number
  /** Set for the session, and only where the session is ours; behind a pooler they would leak to others. */
  session: Readonly<Record<string, string>>
  onServerError(client: MeasuredClient, sqlState: string): void
  /** Looks at the server behind a new connection before anybody uses it; an error refuses the connection. */
  introduce?: ((client: MeasuredClient, done: (error: Error | null) => void) => void) | undefined
}

/** What `@types/pg` leaves out. */
interface Internals {
  readyForQuery: boolean
  pipeline: boolean
  processID: number | null
  connection: { stream: Socket; parsedStatements: Record<string, string | undefined> }
}

export class MeasuredClient extends pg.Client {
  /** Connections of an older generation are not handed out any more. */
  generation = 0
  createdInMs = 0
  expiresAt = Number.POSITIVE_INFINITY
  acquiredAt = 0
  idleSince = 0
  /** Whether a pooler such as PgBouncer is in between; known once connected. */
  isPooled = false
  /** Why the connection is of no more use; null as long as it is. */
  failure: Error | null = null
  /** Returns the client to `pg.Pool`. */
  giveBack: (error?: Error | boolean) => void = () => {}

  readonly #settings: ClientSettings
  #deadlineAt = 0
  #timer: NodeJS.Timeout | undefined
  #timerAt = 0
  #isUntouched = false
  #isAwaitingReady = false

  constructor(options: pg.ClientConfig & { measured: ClientSettings }) {
    super(options)
    this.#settings = options.measured
    tapRows(this.connection)
    // Without a listener of its own a connection that dies while it is handed out ends the process.
    this.on('error', (error) => {
      this.failure ??= error
    })
    const touch = () => {
      this.#isUntouched = false
    }
    this.connection.on('readyForQuery', () => {
      this.#isAwaitingReady = false
    })
    this.connection.on('parseComplete', touch)
    this.connection.on('bindComplete', touch)
    this.connection.on('errorMessage', (error: pg.DatabaseError) => {
      this.#isAwaitingReady = true
      const state = error.code ?? ''
      if (this.#isUntouched && state.startsWith('57P')) markUntouched(error)
      this.#settings.onServerError(this, state)
    })
  }

  /** Whether the next user would find the connection as new: alive, not busy, in no transaction. */
  get isReusable(): boolean {
    return this.failure === null && internals(this).readyForQuery && this.getTransactionStatus() === 'I'
  }

  /** Whether a statement is sent while the one before is under way, not after its answer. Each is its own transaction. */
  set isPipelined(isPipelined: boolean) {
    internals(this).pipeline = isPipelined
  }

  /** Whether the server has taken up the statement of this name, so that it needs to be sent no more. */
  hasPrepared(name: string): boolean {
    return internals(this).connection.parsedStatements[name] !== undefined
  }

  /** Whether a statement failed and the server has not said yet that it is ready: that may come in the next packet. */
  get isSettling(): boolean {
    return this.#isAwaitingReady && this.failure === null && !internals(this).readyForQuery
  }

  /** Calls back when the server is ready again, or has not become so in time, or is gone. */
  settle(callback: () => void): void {
    const finish = () => {
      clearTimeout(timer)
      this.connection.off('readyForQuery', finish)
      this.off('end', finish)
      callback()
    }
    const timer = setTimeout(finish, SETTLE_MS)
    this.connection.on('readyForQuery', finish)
    this.on('end', finish)
  }

  override connect(): Promise<pg.Client>
  override connect(callback: (error: Error) => void): void
  override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
    if (callback !== undefined) {
      this.#open(callback as (error: Error | null) => void)
      return undefined
    }
    return new Promise((resolve, reject) => {
      this.#open((error) => (error === null ? resolve(this) : reject(error)))
    })
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- the overloads of `pg` can't be repeated
  override query(config: any, values?: any, callback?: any): any {
    // Cursors and streams take as long as their reader does.
    const usual = typeof config?.submit === 'function' ? Number.POSITIVE_INFINITY : this.#settings.queryTimeoutMs
    this.#limit(config?.deadlineMs ?? usual)
    // Behind another statement what the server says first is about that one.
    this.#isUntouched = (values ?? config?.values)?.length > 0 && internals(this).readyForQuery
    return super.query(config, values, callback)
  }

  override end(): Promise<void>
  override end(callback: (error: Error) => void): void
  override end(callback?: (error: Error) => void): Promise<void> | undefined {
    clearTimeout(this.#timer)
    // A farewell to a peer that does not answer would keep the socket for minutes.
    const timer = setTimeout(() => this.abort(), END_GRACE_MS).unref()
    this.once('end', () => clearTimeout(timer))
    return callback === undefined ? super.end() : (super.end(callback) as undefined)
  }

  /** Cuts the connection; statements in flight fail with the error. */
  abort(error?: Error): void {
    this.failure ??= error ?? new Error('the connection was cut')
    internals(this).connection.stream.destroy(error)
  }

  /** One round trip; calls back with what went wrong, or null. */
  test(timeoutMs: number, callback: (failure: Error | null) => void): void {
    this.query({ text: 'SELECT 1', deadlineMs: timeoutMs }, undefined, (error: Error | null) => callback(error ?? null))
  }

  // pg's own time-out may hand out a connection that was opened too late (brianc/node-postgres#3543).
  #open(callback: (error: Error | null) => void): void {
    const startedAt = performance.now()
    const { connectTimeoutMs } = this.#settings
    let isDone = false
    const finish = (error: Error | null) => {
      if (isDone) return
      isDone = true
      clearTimeout(timer)
      this.createdInMs = performance.now() - startedAt
      if (error) {
        this.abort()
        callback(markNeverExecuted(error))
      } else callback(null)
    }
    const timer = setTimeout(() => {
      finish(new ConnectTimeoutError(`no connection within ${connectTimeoutMs} ms`))
    }, connectTimeoutMs)
    super.connect((error: Error | null) => (error ? finish(error) : this.#startSession(finish)))
  }

  // A pooler gives out process ids of its own, so the comparison tells whether the session is ours alone.
  #startSession(finish: (error: Error | null) => void): void {
    const { processID } = internals(this)
    const settings = Object.entries(this.#settings.session).flat()
    const sets = settings.flatMap((_, i) => (i % 2 === 0 ? [`set_config($${i + 2}, $${i + 3}, false)`] : []))
    const text = `SELECT pg_backend_pid() AS pid, CASE WHEN pg_backend_pid() = $1 THEN concat(${sets.join(', ') || 'NULL'}) END`
    super.query({ text, values: [processID, ...settings] }, (error: Error | null, result: pg.QueryResult) => {
      if (error) return finish(error)
      this.isPooled = result.rows[0].pid !== processID
      if (this.#settings.introduce === undefined) return finish(null)
      // It may live with an error of the server, which has yet to say that it is ready again.
      this.#settings.introduce(this, (refusal) => {
        if (refusal === null && this.isSettling) this.settle(() => finish(null))
        else finish(refusal)
      })
    })
  }

  // One timer that is looked at when it fires costs less than one per query.
  #limit(ms: number): void {
    const at = performance.now() + ms
    this.#deadlineAt = at
    if (this.#timer !== undefined) {
      if (this.#timerAt <= at) return
      clearTimeout(this.#timer)
    }
    this.#watch(ms)
  }

  #watch(ms: number): void {
    if (ms === Number.POSITIVE_INFINITY) {
      this.#timer = undefined
      return
    }
    this.#timerAt = performance.now() + ms
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.failure !== null || internals(this).readyForQuery) return
      const left = this.#deadlineAt - performance.now()
      if (left > 0.5) this.#watch(left)
      else this.abort(new QueryTimeoutError('the database did not answer in time'))
    }, ms).unref()
  }
}

const internals = (client: MeasuredClient): Internals => client as unknown as Internals
