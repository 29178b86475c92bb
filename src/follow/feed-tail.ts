// The end of the feed, read once per process for all who follow it. A wake-up may be lost: the poll is the truth, so
// that costs time and never an event.

import type { EventLog } from '../db/event-log.ts'
import { TailEvent } from './tail-event.ts'

/** Follows the tail from where it joined. */
export interface TailListener {
  /** New events, all of them in order, and the position that the tail has now reached. */
  onEvents(events: TailEvent[], position: number): void
  /** The store went back to an earlier position, as after a restore: what was followed is no more. */
  onWentBack(): void
}

export interface FeedTailOptions {
  log: Pick<EventLog, 'readFeed' | 'head' | 'onAppended'>
  /** Whether other processes wake this one; without, it polls more often. */
  isWokenByOthers(): boolean
  /** The first one joined; now is the time to have others wake us. */
  onActive?(): void
  onError?(error: unknown): void
}

const PAGE_EVENTS = 1_000
const PAGE_BYTES = 1024 * 1024
const POLL_MS = { least: 20, most: 1_000 }
const RETRY_MS = 250

export class FeedTail {
  readonly #options: FeedTailOptions
  readonly #listeners = new Set<TailListener>()
  #position = 0
  /** What was asked for in another age must not be handed on. */
  #age = 0
  #isStale = false
  /** Bumped when there is nothing to do but wait: resolves the wait. */
  #wake: (() => void) | undefined
  #isWoken = false
  #pollMs = POLL_MS.most
  #starting: Promise<void> | undefined
  #isRunning = false
  #isClosed = false

  constructor(options: FeedTailOptions) {
    this.#options = options
    options.log.onAppended(() => this.wake())
  }

  /** The position up to which everything was handed to the listeners. */
  get position(): number {
    return this.#position
  }

  get listeners(): number {
    return this.#listeners.size
  }

  /**
   * From the returned position on the listener is told of every event. Rejects when the database can't be asked.
   */
  async join(listener: TailListener): Promise<number> {
    if (!this.#isRunning || this.#isStale) await this.#ensureStarted()
    // No await from here on: between the position and the listening nothing may pass.
    this.#listeners.add(listener)
    if (!this.#isRunning && !this.#isClosed) {
      this.#isRunning = true
      void this.#run()
    }
    return this.#position
  }

  leave(listener: TailListener): void {
    this.#listeners.delete(listener)
    if (this.#listeners.size === 0) this.wake()
  }

  /** There may be something new. */
  wake(): void {
    this.#isWoken = true
    this.#wake?.()
  }

  /** The store is another one than before: listeners are told that it went back, and the end is looked for anew. */
  startOver(): void {
    this.#age++
    this.#isStale = true
    for (const listener of [...this.#listeners]) listener.onWentBack()
    this.wake()
  }

  close(): void {
    this.#isClosed = true
    this.wake()
  }

  #ensureStarted(): Promise<void> {
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined
    })
    return this.#starting
  }

  async #start(): Promise<void> {
    this.#options.onActive?.()
    let age: number
    do {
      age = this.#age
      this.#position = await this.#options.log.head()
    } while (age !== this.#age)
    this.#isStale = false
  }

  async #run(): Promise<void> {
    while (this.#listeners.size > 0 && !this.#isClosed) {
      this.#isWoken = false
      let isFull = false
      try {
        isFull = await this.#read()
      } catch (error) {
        this.#options.onError?.(error)
        await this.#pause(RETRY_MS)
        continue
      }
      if (!isFull && !this.#isWoken) await this.#pause(this.#pollMs)
    }
    this.#isRunning = false
  }

  async #read(): Promise<boolean> {
    if (this.#isStale) await this.#ensureStarted()
    const age = this.#age
    const { head, events, isFull } = await this.#options.log.readFeed({
      after: this.#position,
      direction: 'forward',
      limit: PAGE_EVENTS,
      maxBytes: PAGE_BYTES,
      mayBeShort: true,
    })
    if (age !== this.#age) return true
    if (head < this.#position) {
      this.#position = head
      for (const listener of [...this.#listeners]) listener.onWentBack()
      return false
    }
    if (events.length > 0) {
      this.#position = events.at(-1)?.at as number
      const arrived = events.map((event) => new TailEvent(event))
      for (const listener of [...this.#listeners]) listener.onEvents(arrived, this.#position)
    }
    this.#adapt(events.length)
    return isFull
  }

  // Short after something came, longer the longer nothing does; a second where others wake us.
  #adapt(arrived: number): void {
    if (this.#options.isWokenByOthers()) this.#pollMs = POLL_MS.most
    else this.#pollMs = arrived > 0 ? POLL_MS.least : Math.min(this.#pollMs * 1.3, POLL_MS.most)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms)
      timer.unref()
      const wake = done
      this.#wake = wake
      function done() {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
