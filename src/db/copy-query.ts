// `COPY … TO STDOUT` as a query of `pg`: each row comes as the bytes that the server sent. `pg` turns the rows of every
// other statement into text first, and rows in binary form are corrupted by that.

import type pg from 'pg'

/** The part of pg's connection that is used here; `@types/pg` leaves its messages out. */
interface Wire {
  query(text: string): void
}

/** Takes the messages of the data one by one; their bytes are only valid during the call. */
export interface CopyReceiver {
  take(data: Buffer): void
}

export class CopyQuery {
  /** Resolves when all data has come and the connection can be used again. */
  readonly done: Promise<void>
  /** Longest wait for that; the pool's clients read it. */
  readonly deadlineMs: number
  readonly #text: string
  readonly #receiver: CopyReceiver
  #failure: unknown
  #resolve: () => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(text: string, deadlineMs: number, receiver: CopyReceiver) {
    this.#text = text
    this.deadlineMs = deadlineMs
    this.#receiver = receiver
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: pg.Connection): void {
    ;(connection as unknown as Wire).query(this.#text)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    if (this.#failure !== undefined) return
    // Thrown from here it would end the process: nobody stands between the socket and this.
    try {
      this.#receiver.take(chunk)
    } catch (error) {
      this.#failure = error
    }
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    if (this.#failure === undefined) this.#resolve()
    else this.#reject(this.#failure)
  }

  handleError(error: unknown): void {
    this.#reject(error)
  }
}
