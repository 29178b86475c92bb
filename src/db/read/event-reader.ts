// The reads of the event store on PostgreSQL, over the pool.

import type { QueryArrayConfig } from 'pg'
import { AppError } from '../../errors.ts'
import type { MeasuredPool } from '../connections/pool.ts'
import type {
  FeedPage,
  FeedQuery,
  PageText,
  Separator,
  StreamInfo,
  StreamListQuery,
  StreamPage,
  StreamQuery,
} from '../event-log.ts'
import { isWorthAnotherTry, translatePgError } from '../pg-errors.ts'
import { quoteIdentifier } from '../sql.ts'
import type { Statement } from '../statement.ts'
import { EventRows, feedRows, type RowsPlan, SPREAD, streamRows } from './event-rows.ts'
import { JsonBytes, TooManyBytesError } from './json-bytes.ts'
import { listStreamsStatement, streamInfoStatement } from './list-streams.ts'
import {
  eventStatement,
  feedStatement,
  type PagePlan,
  pageText,
  type ReadPage,
  readPage,
  sizeOf,
  streamStatement,
} from './read-events.ts'
import { SharedReads } from './shared-reads.ts'
import { StreamsRows, streamsStatement } from './streams-rows.ts'

export class EventReader {
  readonly #pool: MeasuredPool
  readonly #schema: string
  /** Of the first events of streams. */
  readonly #short = new SharedReads({
    together: (reads) => this.#readTogether(reads),
    ...{ mostTogether: MAX_SHORT_READS, enoughForSecond: SHORT_READS_FOR_SECOND },
  })
  /** Of longer ones. */
  readonly #long = new SharedReads({
    together: (reads) => this.#readTogether(reads),
    ...{ mostTogether: MAX_LONG_READS, enoughForSecond: Number.POSITIVE_INFINITY },
  })
  /** For pages to be made in. */
  readonly #idleBuffers: JsonBytes[] = []
  /** As the last page said; undefined before the first. */
  #largestEventBytes: number | undefined
  /** Versions of streams that were read; a hint, which may be outdated. */
  readonly #lengths = new Map<string, number>()
  /** Of the last page that was made of rows, per event; the next one is likely to need as much room. */
  #lineBytes = USUAL_LINE_BYTES

  constructor(pool: MeasuredPool, schema: string) {
    this.#pool = pool
    this.#schema = schema
  }

  async readStream(query: StreamQuery): Promise<StreamPage> {
    const { head, events, isFull } = await this.#page(streamStatement(this.#schema, query, this.#largestEventBytes))
    return { version: head, events, isFull }
  }

  async readFeed(query: FeedQuery): Promise<FeedPage> {
    const { head, events, isFull } = await this.#page(feedStatement(this.#schema, query, this.#largestEventBytes))
    return { head, events, isFull }
  }

  async readStreamText(query: StreamQuery, separator: Separator): Promise<PageText> {
    const { limit, isMeasured } = sizeOf(query, this.#largestEventBytes)
    if (isMeasured || query.types !== undefined) return this.#readLines(query, separator)
    const page = await this.#checked(
      () => this.#readPlain({ ...query, limit }, separator),
      () => this.#readLines(query, separator),
    )
    if (this.#lengths.size >= MAX_LENGTHS) this.#lengths.clear()
    this.#lengths.set(query.streamId, page.head)
    return page
  }

  // What a stream had the last time tells which statement is the cheapest, and whether one for several reads is.
  async #readPlain(query: StreamQuery, separator: Separator): Promise<PageText> {
    const expected = this.#expected(query)
    if (separator === ',' && query.direction === 'forward' && query.toVersion === undefined) {
      const few = { ...query, limit: Math.min(query.limit, FIRST_EVENTS) }
      if (expected !== undefined && expected <= FIRST_EVENTS && this.#fits(few, MAX_SHORT_BYTES)) {
        return this.#whole(query, await this.#short.read(few), separator)
      }
      if ((expected ?? 0) <= MAX_SHARED_EVENTS && this.#fits(query, MAX_LONG_BYTES)) return this.#long.read(query)
    }
    return this.#readAlone(query, separator)
  }

  async #readAlone(query: StreamQuery, separator: Separator): Promise<PageText> {
    const expected = this.#expected(query)
    if (expected !== undefined && expected > FIRST_EVENTS) {
      const page = await this.#eventRows(streamRows(this.#schema, query), separator)
      // Without an event there is no row that could tell the head.
      if (page.count > 0) return page
    }
    const few = { ...query, limit: Math.min(query.limit, FIRST_EVENTS) }
    return this.#whole(query, await this.#readLines(few, separator), separator)
  }

  /** The page that begins with the first events of it; only what is more than those comes by rows of its own. */
  async #whole(query: StreamQuery, first: PageText, separator: Separator): Promise<PageText> {
    if (!first.isFull || first.last === undefined || first.count === query.limit) return first
    return this.#readRest(query, first, first.last, separator)
  }

  /** How many events the read is likely to get; undefined for many of a stream that is not known. */
  #expected({ streamId, direction, fromVersion = 1, limit }: StreamQuery): number | undefined {
    const length = this.#lengths.get(streamId)
    if (length === undefined) return limit <= FIRST_EVENTS ? limit : undefined
    return Math.min(limit, direction === 'forward' ? Math.max(0, length - fromVersion + 1) : length)
  }

  #fits({ limit }: StreamQuery, maxBytes: number): boolean {
    return !sizeOf({ limit, maxBytes }, this.#largestEventBytes).isMeasured
  }

  async #readLines(query: StreamQuery, separator: Separator): Promise<PageText> {
    const { version, events, isFull } = await this.readStream(query)
    return pageText(events, version, isFull, separator)
  }

  async #readTogether(reads: StreamQuery[]): Promise<PageText[]> {
    const prepared = streamsStatement(this.#schema, reads)
    const statement = this.#pool.isPooled ? { text: prepared.text, values: prepared.values } : prepared
    const idle = this.#idleBuffers
    const newRows = () => new StreamsRows(reads, idle.pop() ?? new JsonBytes(USUAL_PAGE_BYTES, MAX_LONG_BYTES * SPREAD))
    const rows = await tried(() => this.#pool.rows(statement, newRows))
    this.#largestEventBytes = rows.largestEventBytes
    const pages = rows.pages()
    if (rows.buffer.capacity <= MAX_LONG_BYTES) idle.push(rows.buffer)
    return pages
  }

  // What is below the head that was seen never changes, so the rest is of the same moment.
  async #readRest(query: StreamQuery, first: PageText, last: number, separator: Separator): Promise<PageText> {
    const isForward = query.direction === 'forward'
    const end = isForward ? Math.min(first.head, query.toVersion ?? first.head) : 1
    if (last === end) return { ...first, isFull: false }
    const bounds = isForward ? { fromVersion: last + 1, toVersion: end } : { fromVersion: last - 1 }
    const plan = streamRows(this.#schema, { ...query, ...bounds, limit: query.limit - first.count })
    const rest = await this.#eventRows(plan, separator)
    return {
      head: first.head,
      json: Buffer.concat([bytesOf(first), bytesOf(rest)]),
      count: first.count + rest.count,
      last: rest.last ?? last,
      isFull: rest.isFull,
    }
  }

  async readFeedText(query: FeedQuery, separator: Separator): Promise<PageText> {
    const { limit, isMeasured } = sizeOf(query, this.#largestEventBytes)
    const plan = isMeasured ? undefined : feedRows(this.#schema, { ...query, limit })
    const measured = async () => {
      const { head, events, isFull } = await this.readFeed(query)
      return pageText(events, head, isFull, separator)
    }
    return plan === undefined ? measured() : this.#checked(() => this.#eventRows(plan, separator), measured)
  }

  // Since the last page larger events may have been stored, so that this one can't be as long.
  async #checked(read: () => Promise<PageText>, measured: () => Promise<PageText>): Promise<PageText> {
    try {
      return await read()
    } catch (error) {
      if (!(error instanceof AppError && error.cause instanceof TooManyBytesError)) throw error
      this.#largestEventBytes = undefined
      return measured()
    }
  }

  async readEvent(eventId: string): Promise<string | null> {
    const rows = await this.#rows(eventStatement(this.#schema, eventId))
    return (rows[0]?.[0] as string | undefined) ?? null
  }

  async listStreams(query: StreamListQuery): Promise<StreamInfo[]> {
    return (await this.#rows(listStreamsStatement(this.#schema, query))).map(streamInfo)
  }

  async readStreamInfo(streamId: string): Promise<StreamInfo | null> {
    const rows = await this.#rows(streamInfoStatement(this.#schema, streamId))
    return rows[0] === undefined ? null : streamInfo(rows[0])
  }

  async head(): Promise<number> {
    const rows = await this.#rows({
      name: 'annals_head',
      text: `SELECT position FROM ${quoteIdentifier(this.#schema)}.annals_head`,
      values: [],
    })
    return Number(rows[0]?.[0])
  }

  async #page(plan: PagePlan): Promise<ReadPage> {
    const page = readPage(await this.#rows(plan), plan.limit)
    this.#largestEventBytes = page.largestEventBytes
    return page
  }

  async #eventRows(plan: RowsPlan, separator: Separator): Promise<PageText> {
    const expectedBytes = this.#lineBytes * plan.limit
    const rows = await tried(() => this.#pool.rows(plan, () => new EventRows(plan, separator, expectedBytes)))
    const { largestEventBytes, ...page } = rows.page()
    if (largestEventBytes !== undefined) this.#largestEventBytes = largestEventBytes
    if (page.count > 0) this.#lineBytes = Math.ceil(page.json.length / page.count) + 16
    return page
  }

  async #rows(statement: Statement): Promise<(string | number | null)[][]> {
    const { rows } = await tried(() => this.#pool.query(arrayQuery(this.#pool, statement)))
    return rows as (string | number | null)[][]
  }
}

// A read changes nothing, so one whose connection died is sent once more; not one that has waited in vain.
async function tried<R>(read: () => Promise<R>): Promise<R> {
  for (let isRetry = false; ; isRetry = true) {
    try {
      return await read()
    } catch (error) {
      if (isRetry || !isWorthAnotherTry(error)) throw translatePgError(error)
    }
  }
}

// So many events of a stream come by a prepared statement, and the rest by one that is planned anew: that takes as long as
// the lines of about twenty events.
const FIRST_EVENTS = 16
// Many reads share a statement, so each one's part of it has to be small, and a longer one gains nothing by it.
const MAX_SHORT_READS = 64
/** So many at once are worth a second round trip. */
const SHORT_READS_FOR_SECOND = 6
const MAX_SHORT_BYTES = 256 * 1024
const MAX_SHARED_EVENTS = 200
const MAX_LONG_READS = 16
const MAX_LONG_BYTES = 512 * 1024
const MAX_LENGTHS = 10_000
// Room for one line before anything is known.
const USUAL_LINE_BYTES = 512
const USUAL_PAGE_BYTES = 16 * 1024

/** A statement whose rows come as arrays. Prepared ones belong to a session, which a pooler in transaction mode ends. */
function arrayQuery({ isPooled }: MeasuredPool, { name, text, values }: Statement): QueryArrayConfig {
  return name !== undefined && !isPooled ? { name, text, values, rowMode: 'array' } : { text, values, rowMode: 'array' }
}

const bytesOf = ({ json }: PageText): Buffer => (typeof json === 'string' ? Buffer.from(json) : json)

const streamInfo = (row: (string | number | null)[]): StreamInfo => ({
  stream_id: row[0] as string,
  version: Number(row[1]),
  created_at: row[2] as string,
  updated_at: row[3] as string,
})
