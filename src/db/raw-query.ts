// What the queries have in common whose data goes past `pg`, as the bytes that the server sent.

import type pg from 'pg'

/** A query of `pg`, which calls its methods. */
export abstract class RawQuery {
  /** Resolves when all data has come and the connection can be used again. */
  readonly done: Promise<void>
  /** Longest wait for that; the pool's clients read it. */
  readonly deadlineMs: number
  #failure: unknown
  #resolve: () => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(deadlineMs: number) {
    this.deadlineMs = deadlineMs
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Gives the receiver the piece of the data that begins at `start`. */
  protected abstract handOn(data: Buffer, start: number): void

  /** Hands on a piece of the data, unless that has failed before. Called for every row, so without a closure. */
  protected take(data: Buffer, start: number): void {
    if (this.#failure !== undefined) return
    // Thrown from here it would end the process: nobody stands between the socket and this.
    try {
      this.handOn(data, start)
    } catch (error) {
      this.#failure = error
    }
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(_connection: pg.Connection): void {
    if (this.#failure === undefined) this.#resolve()
    else this.#reject(this.#failure)
  }

  handleError(error: unknown, _connection: pg.Connection): void {
    this.#reject(error)
  }
}
