// Two stores' events side by side, row by row in the order of positions, in bounded memory.

import type pg from 'pg'
import { CopyRows, fieldOf } from './copy-rows.ts'
import { copyOut } from './copy-table.ts'
import { EVENTS } from './store-tables.ts'

export interface EventsOf {
  client: pg.Client
  schema: string
}

export interface RowDifferences {
  compared: number
  different: number
  /** Only on the left, only on the right. */
  left: number
  right: number
  /** The first ones, in words. */
  evidence: string[]
}

const SHOWN = 20
const [STREAM, VERSION, POSITION] = ['stream_id', 'version', 'position'].map((name) =>
  EVENTS.columns.indexOf(name),
) as [number, number, number]

/** Compares the events up to `head`; both sides in the snapshots of their transactions. */
export async function compareEvents(
  left: EventsOf,
  right: EventsOf,
  options: { head: number; signal: AbortSignal; onRows(rows: number): void },
): Promise<RowDifferences> {
  const found: RowDifferences = { compared: 0, different: 0, left: 0, right: 0, evidence: [] }
  const [a, b] = [rowsOf(left, options.head), rowsOf(right, options.head)]
  const say = (what: string, row: Buffer) => {
    if (found.evidence.length < SHOWN) found.evidence.push(`${nameOf(row)} ${what}`)
  }
  let [ours, theirs] = [await a.next(), await b.next()]
  while (ours !== undefined || theirs !== undefined) {
    const order = ours === undefined ? 1 : theirs === undefined ? -1 : positionOf(ours) - positionOf(theirs)
    if (order < 0) {
      found.left++
      say('is only in the backup', ours as Buffer)
      ours = await a.next()
    } else if (order > 0) {
      found.right++
      say('is only in the store', theirs as Buffer)
      theirs = await b.next()
    } else {
      found.compared++
      if (!(ours as Buffer).equals(theirs as Buffer)) {
        found.different++
        say(`differs in ${columnsThatDiffer(ours as Buffer, theirs as Buffer)}`, ours as Buffer)
      }
      ;[ours, theirs] = [await a.next(), await b.next()]
    }
    if (found.compared % 10_000 === 0) {
      options.onRows(found.compared)
      options.signal.throwIfAborted()
    }
  }
  return found
}

/** Rows one by one; undefined after the last. */
function rowsOf({ client, schema }: EventsOf, head: number): { next(): Promise<Buffer | undefined> } {
  let ready: Buffer[] = []
  let at = 0
  const scan = new CopyRows(EVENTS.columns.length, (buffer, start, end) => ready.push(buffer.subarray(start, end)))
  const copy = { columns: EVENTS.columns, where: `position <= ${head}`, isOrdered: true }
  const pieces = copyOut(client, schema, EVENTS, copy)[Symbol.asyncIterator]()
  return {
    async next() {
      while (at === ready.length) {
        const { value, done } = await pieces.next()
        if (done) return undefined
        ready = []
        at = 0
        scan.push(value as Buffer)
      }
      return ready[at++]
    },
  }
}

const positionOf = (row: Buffer): number => Number(fieldOf(row, 0, POSITION)?.readBigInt64BE(0))

const nameOf = (row: Buffer): string =>
  `${fieldOf(row, 0, STREAM)?.toString()}@${fieldOf(row, 0, VERSION)?.readBigInt64BE(0)} at position ${positionOf(row)}`

const columnsThatDiffer = (a: Buffer, b: Buffer): string =>
  EVENTS.columns
    .filter((_, i) => {
      const [left, right] = [fieldOf(a, 0, i), fieldOf(b, 0, i)]
      return left === undefined || right === undefined ? left !== right : !left.equals(right)
    })
    .join(', ')
