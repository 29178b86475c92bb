/** A statement in pg's form; `name` is there when its text has few variants, so that it can be prepared. */
export interface Statement {
  name?: string
  text: string
  values: unknown[]
}

/** A row in row mode `array`. */
export type Row = (string | number | null)[]
