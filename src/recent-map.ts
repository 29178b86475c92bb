/**
 * A map that forgets what was not used lately, without a timer: two generations, of which the older one is dropped as
 * a whole. An entry stays for `idleMs` after its last use at least, unless more than `maxEntries / 2` are used meanwhile.
 */
export class RecentMap<Value> {
  readonly #maxYoung: number
  readonly #idleMs: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()
  #youngSince = performance.now()

  constructor(maxEntries: number, idleMs: number) {
    this.#maxYoung = Math.ceil(maxEntries / 2)
    this.#idleMs = idleMs
  }

  /** Never more than `maxEntries`. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** The value, which counts as a use. */
  get(key: string): Value | undefined {
    const value = this.#young.get(key)
    if (value !== undefined) return value
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, value: Value): void {
    const now = performance.now()
    if (now - this.#youngSince > this.#idleMs || this.#young.size >= this.#maxYoung) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngSince = now
    }
    this.#young.set(key, value)
  }
}
