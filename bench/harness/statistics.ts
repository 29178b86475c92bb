// Medians of rounds. A ratio is taken within each round, where both sides met the same machine.

/** What one leg of one round measured; times carry their unit in the name. */
export type Figures = Record<string, number>

export interface Spread {
  median: number
  min: number
  max: number
}

export function spreadOf(values: number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const at = (index: number) => sorted[index] ?? Number.NaN
  return {
    median: sorted.length % 2 === 0 ? (at(middle - 1) + at(middle)) / 2 : at(Math.floor(middle)),
    min: at(0),
    max: at(sorted.length - 1),
  }
}

/** Figures by leg and round. */
export class Rounds {
  readonly #legs: Record<string, Figures[]>

  constructor(legs: Record<string, Figures[]>) {
    this.#legs = legs
  }

  get count(): number {
    return Object.values(this.#legs)[0]?.length ?? 0
  }

  /** These and others, measured one after the other. */
  and(others: Rounds): Rounds {
    return new Rounds({ ...this.#legs, ...others.#legs })
  }

  legs(): [string, Figures[]][] {
    return Object.entries(this.#legs)
  }

  values(leg: string, figure: string): number[] {
    return (this.#legs[leg] ?? []).map((figures) => figures[figure] ?? Number.NaN)
  }

  spread(leg: string, figure: string): Spread {
    return spreadOf(this.values(leg, figure))
  }

  /** `figure` of one leg by that of another, round by round. */
  ratio(leg: string, figure: string, peer: string, peerFigure = figure): Spread {
    const peers = this.values(peer, peerFigure)
    return spreadOf(this.values(leg, figure).map((value, round) => value / (peers[round] as number)))
  }

  /** Of several legs the one with the highest median. */
  best(legs: string[], figure: string): string {
    return legs.reduce((best, leg) => (this.spread(leg, figure).median > this.spread(best, figure).median ? leg : best))
  }
}
