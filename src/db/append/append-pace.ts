// When a batch of appends leaves, and how many requests go into it. Clients ask again when they are answered, so those at
// work are best served as two halves in turns: while the database commits one, this process writes the answers of the
// other and reads what it asks next. Left alone they become one crowd that both sides wait for.

/** How much the last batch counts in what is usual. */
const WEIGHT = 0.1
/** What a batch takes, until that has been measured. */
const FIRST_GUESS_MS = 5
/** Of a half: with so many of it there, a batch leaves. */
const FILL = 0.9
/** Or with so many: its own cost is then less than a tenth of what it takes. An import takes 0.91 of the time for it. */
const ENOUGH = 250
/** Of what a batch usually takes: for so long after an answer the next one waits for as many. */
const HOLD_SHARE = 0.4
/** And for no longer than this, however slow the database has been. */
const MAX_HOLD_MS = 10
/** Of what is usually open: when more waits than this, more have come than usual, and they leave together. */
const SURGE = 1.5

/** Times are by performance.now(). `isShared`: another process takes turns with this one, so all that are here are one half. */
export class AppendPace {
  #answeredAt = 0
  /** What a batch takes, of late. */
  #usualMs = FIRST_GUESS_MS
  /** How many requests are open, of late. */
  #usualOpen = 0

  /**
   * Notes that a batch was answered: when it had been sent, and how many requests were `open`, its own and all that are
   * under way or wait. What fails, fails sooner or later than a batch takes, and does not count.
   */
  answered(sentAt: number, open: number): void {
    const now = performance.now()
    this.#usualMs += (now - Math.max(this.#answeredAt, sentAt) - this.#usualMs) * WEIGHT
    this.#usualOpen += (open - this.#usualOpen) * WEIGHT
    this.#answeredAt = now
  }

  /**
   * Whether more than these `waiting` requests will be there in a moment, while nothing is under way. Whoever is first
   * would leave alone, and all others wait for that batch as long as for a full one.
   */
  isTimeToHold(waiting: number, isShared: boolean): boolean {
    if (waiting >= this.#enough(isShared)) return false
    return performance.now() - this.#answeredAt < Math.min(this.#usualMs * HOLD_SHARE, MAX_HOLD_MS)
  }

  /** Whether these `waiting` requests go behind the batch under way, so that the database finds them there. */
  isTimeToFollow(waiting: number): boolean {
    return waiting >= this.#enough(false)
  }

  /** How many of these `waiting` requests leave together. */
  most(waiting: number, isShared: boolean): number {
    return isShared || waiting > this.#usualOpen * SURGE ? waiting : Math.ceil(this.#half(isShared))
  }

  #enough(isShared: boolean): number {
    return Math.min(this.#half(isShared) * FILL, ENOUGH)
  }

  #half(isShared: boolean): number {
    return isShared ? this.#usualOpen : this.#usualOpen / 2
  }
}
