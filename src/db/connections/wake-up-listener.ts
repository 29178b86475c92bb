// Wake-ups from other processes: LISTEN on a connection of its own. Without one, who follows polls, which is only slower.

import type pg from 'pg'
import { MeasuredClient } from './pool-client.ts'
import { clientConfig } from './pool-options.ts'

/** `idle`: nobody follows. `listening`: woken by notifications. `polling`: LISTEN can't be had, for the reason given. */
export interface WakeUpState {
  mode: 'idle' | 'listening' | 'polling'
  reason?: 'pooler' | 'not_connected'
}

export interface WakeUpListenerOptions {
  /** Of the database itself; through a pooler in transaction mode nothing arrives. */
  url: string
  applicationName: string
  schema: string
  onWakeUp(): void
}

const CHANNEL = 'annals'
const TIMEOUT_MS = 2_000
const RECONNECT_MS = { least: 100, most: 5_000 }

export class WakeUpListener {
  readonly #options: WakeUpListenerOptions
  #state: WakeUpState = { mode: 'idle' }
  #client: MeasuredClient | undefined
  #timer: NodeJS.Timeout | undefined
  #pauseMs = RECONNECT_MS.least
  #isClosed = false

  constructor(options: WakeUpListenerOptions) {
    this.#options = options
  }

  get state(): WakeUpState {
    return this.#state
  }

  /** Listens from now on, through lost connections too; a second call does nothing. */
  start(): void {
    if (this.#state.mode !== 'idle' || this.#isClosed) return
    this.#state = { mode: 'polling', reason: 'not_connected' }
    void this.#connect()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    const client = this.#client
    this.#client = undefined
    await client?.end().catch(() => {})
  }

  async #connect(): Promise<void> {
    const { url, applicationName, schema, onWakeUp } = this.#options
    const client = new MeasuredClient({
      ...clientConfig(url, `${applicationName} listen`),
      measured: { connectTimeoutMs: TIMEOUT_MS, queryTimeoutMs: TIMEOUT_MS, session: {}, onServerError() {} },
    })
    // Follows an error too, and is what counts.
    client.on('end', () => this.#lost(client))
    client.on('notification', ({ channel, payload }: pg.Notification) => {
      if (channel === CHANNEL && payload === schema) onWakeUp()
    })
    this.#client = client
    try {
      await client.connect()
      // A pooler gives the session to somebody else meanwhile.
      if (client.isPooled) {
        this.#state = { mode: 'polling', reason: 'pooler' }
        this.#isClosed = true
        this.#client = undefined
        await client.end()
        return
      }
      await client.query(`LISTEN ${CHANNEL}`)
      this.#state = { mode: 'listening' }
      this.#pauseMs = RECONNECT_MS.least
      // What came while nobody listened is found by looking.
      onWakeUp()
    } catch {
      void client.end().catch(() => {})
      this.#lost(client)
    }
  }

  #lost(client: MeasuredClient): void {
    if (this.#client !== client || this.#isClosed) return
    this.#client = undefined
    this.#state = { mode: 'polling', reason: 'not_connected' }
    this.#timer = setTimeout(() => void this.#connect(), this.#pauseMs).unref()
    this.#pauseMs = Math.min(this.#pauseMs * 2, RECONNECT_MS.most)
  }
}
