// Reads of streams. Those that arrive while others are on their way go to the database together in the next statement: a
// round trip of its own costs a read more than its events do (docs/decisions/0013).

import type { PageText, StreamQuery } from '../event-log.ts'

export interface ReadWays {
  /** One statement for all of them; the pages come in the same order. */
  together(reads: StreamQuery[]): Promise<PageText[]>
  mostTogether: number
  /** With so many waiting a second statement goes beside the one under way. */
  enoughForSecond: number
}

// A statement that takes longer holds nobody up: what waits goes beside it.
const PATIENCE_MS = 20

interface Waiting {
  read: StreamQuery
  resolve(page: PageText): void
  reject(error: unknown): void
}

export class SharedReads {
  readonly #ways: ReadWays
  #queue: Waiting[] = []
  #underWay = 0
  #soon: NodeJS.Immediate | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(ways: ReadWays) {
    this.#ways = ways
  }

  /** @throws what the statement failed with that the read was part of */
  read(read: StreamQuery): Promise<PageText> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ read, resolve, reject })
      const isSecond = this.#underWay === 1 && this.#queue.length >= this.#ways.enoughForSecond
      // With all others that have arrived by now.
      if (this.#underWay === 0 || isSecond) this.#soon ??= setImmediate(() => this.#pump())
      else this.#timer ??= setTimeout(() => this.#pump(), PATIENCE_MS)
    })
  }

  #pump(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#soon)
    this.#timer = undefined
    this.#soon = undefined
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, this.#ways.mostTogether)
      void this.#deliver(batch, this.#ways.together(batch.map(({ read }) => read)))
    }
  }

  // What waits leaves before this is answered, so that the database works while the answers are written.
  async #deliver(batch: Waiting[], answer: Promise<PageText[]>): Promise<void> {
    this.#underWay++
    try {
      const pages = await answer.finally(() => {
        this.#underWay--
        this.#pump()
      })
      batch.forEach(({ resolve }, i) => resolve(pages[i] as PageText))
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
}
