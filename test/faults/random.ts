// Chance that can be had again: the same seed gives the same numbers, on every machine.

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to, not including, 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `from` to `to`, both inclusive. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  isLucky(chance: number): boolean {
    return this.next() < chance
  }

  pick<T>(all: readonly T[]): T {
    return all[this.between(0, all.length - 1)] as T
  }

  shuffled<T>(all: Iterable<T>): T[] {
    const mixed = [...all]
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = this.between(0, i)
      ;[mixed[i], mixed[j]] = [mixed[j] as T, mixed[i] as T]
    }
    return mixed
  }
}
