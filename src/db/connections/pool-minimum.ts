// Keeps the minimum of connections open: from the start on, and again when some are lost.

import type { PoolConnections } from './pool-connections.ts'

// After each try in a row that failed; the last one for all that follow.
const PAUSES_MS = [0, 100, 200, 400, 800, 1_000]

export interface PoolMinimumOptions {
  min: number
  connections: Pick<PoolConnections, 'size' | 'idle' | 'total'>
  /** Takes a connection and puts it to use; resolves with what went wrong, if something did. */
  warm(): Promise<Error | undefined>
}

export class PoolMinimum {
  readonly #options: PoolMinimumOptions
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #isFilling = false
  #isStopped = false

  constructor(options: PoolMinimumOptions) {
    this.#options = options
  }

  /**
   * Opens what is missing. Resolves when each is open or has failed; what failed is tried again in the background.
   * `pg.Pool` opens a connection only when none is idle: all idle ones are held for a moment so that it opens more.
   */
  async fill(): Promise<void> {
    const { min, connections, warm } = this.#options
    const missing = min - connections.total
    if (missing <= 0 || this.#isStopped || this.#isFilling) return
    this.#isFilling = true
    const tries = await Promise.all(Array.from({ length: connections.idle + missing }, () => warm()))
    this.#isFilling = false
    this.#failures = tries.every((error) => error === undefined) ? 0 : this.#failures + 1
    this.fillSoon()
  }

  /** Fills it in the background, if it is not full; the more tries have failed, the later. */
  fillSoon(): void {
    if (this.#timer !== undefined || this.#isStopped || this.#options.connections.size >= this.#options.min) return
    const pauseMs = PAUSES_MS[Math.min(this.#failures, PAUSES_MS.length - 1)]
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.fill()
    }, pauseMs).unref()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }
}
