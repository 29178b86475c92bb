// A digest of many rows that does not depend on their order: the sum of the rows' hashes. That of a stream is the sum
// over its events, that of the store the sum over its streams, and what an increment adds is the sum over what is new.

import { hash } from 'node:crypto'

const WORDS = 4

/** 128 bits: the first of the SHA-256 of each row, added up as four numbers of 32 bits each. */
export class Digest {
  readonly #sums = new Uint32Array(WORDS)

  add(row: Buffer): void {
    // As text of one character a byte, which costs half of what a buffer costs.
    const digest = hash('sha256', row, 'latin1' as BufferEncoding & 'hex')
    const sums = this.#sums
    for (let word = 0; word < WORDS; word++) {
      const at = word * 4
      sums[word] =
        (sums[word] as number) +
        ((digest.charCodeAt(at) << 24) |
          (digest.charCodeAt(at + 1) << 16) |
          (digest.charCodeAt(at + 2) << 8) |
          digest.charCodeAt(at + 3))
    }
  }

  /** Adds what another one gave as text. */
  addHex(hex: string): void {
    for (let word = 0; word < WORDS; word++) {
      this.#sums[word] = (this.#sums[word] as number) + Number.parseInt(hex.slice(word * 8, word * 8 + 8), 16)
    }
  }

  /** 32 digits. */
  get hex(): string {
    return [...this.#sums].map((sum) => sum.toString(16).padStart(8, '0')).join('')
  }
}
