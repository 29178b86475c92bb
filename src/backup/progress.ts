/** How far a job is. `total` is null when nobody knows. */
export interface Progress {
  /** What is being done, for instance `copying events`. */
  step: string
  unit: 'events' | 'rows' | 'bytes'
  done: number
  total: number | null
}

/** What is counted of a table of the store. */
export const unitOf = (table: string): Progress['unit'] => (table === 'events' ? 'events' : 'rows')
