// When a batch of appends leaves. Each one costs something of its own, the commit above all, so it pays to wait for more
// requests where they are about to come, and to send a batch while the database is still busy with the one before.

/** What a batch takes, until that has been measured; and how much the last one counts. */
const FIRST_GUESS_MS = 5
const WEIGHT = 0.1
/** Of what a batch usually takes: after this the next one may be sent behind it, if it has this share of its requests. */
const FOLLOW_SHARE = 0.5
const FOLLOW_FILL = 0.25
/** Of what a batch usually takes: for so long after an answer the next one waits for this share of as many requests. */
const HOLD_SHARE = 0.4
const HOLD_FILL = 0.5
/** And for no longer than this, however slow the database has been. */
const MAX_HOLD_MS = 10
/** While the next one has to wait for another process anyway. */
const SHARED_HOLD_FILL = 0.8

/** A batch under way. */
interface Sent {
  sentAt: number
  requests: unknown[]
}

/** Times are by performance.now(). */
export class AppendPace {
  /** When the last answer came, and to how many requests. */
  #answeredAt = 0
  #answered = 0
  /** What a batch takes, of late. */
  #usualMs = FIRST_GUESS_MS

  /** Notes that a batch was answered. What fails, fails sooner or later than that takes, and does not count. */
  answered({ sentAt, requests }: Sent): void {
    const now = performance.now()
    this.#usualMs += (now - Math.max(this.#answeredAt, sentAt) - this.#usualMs) * WEIGHT
    this.#answeredAt = now
    this.#answered = requests.length
  }

  /**
   * Whether more than these `waiting` requests will be there in a moment, while nothing is under way. Clients that were
   * just answered are about to ask again. Whoever is first would leave alone, and all others wait for that batch as long
   * as for a full one. `isShared`: another process takes turns with this one.
   */
  isTimeToHold(waiting: number, isShared: boolean): boolean {
    if (waiting >= this.#answered * (isShared ? SHARED_HOLD_FILL : HOLD_FILL)) return false
    return performance.now() - this.#answeredAt < Math.min(this.#usualMs * HOLD_SHARE, MAX_HOLD_MS)
  }

  /**
   * Whether these `waiting` requests go behind the batch under way. When it is nearly done they are sent, so that the
   * database finds them there and does not wait for a round trip. Sooner, they would be fewer.
   */
  isTimeToFollow(waiting: number, { sentAt, requests }: Sent): boolean {
    const ms = performance.now() - Math.max(this.#answeredAt, sentAt)
    return ms > this.#usualMs * (waiting >= requests.length * FOLLOW_FILL ? FOLLOW_SHARE : 1)
  }
}
