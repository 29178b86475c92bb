/** Numbers that are only ever added; half the cost of an array, and sent to the parent as they are. */
export class Series {
  #numbers = new Float64Array(65_536)
  #length = 0

  push(value: number): void {
    if (this.#length === this.#numbers.length) {
      const larger = new Float64Array(this.#length * 2)
      larger.set(this.#numbers)
      this.#numbers = larger
    }
    this.#numbers[this.#length++] = value
  }

  /** Those that are there, as a view. */
  get values(): Float64Array {
    return this.#numbers.slice(0, this.#length)
  }
}
