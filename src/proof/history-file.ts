// A history as a file of lines: the run, each operation, each entry of the dump, and an end that says that it is whole.

import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Dump, History, Operation, Run } from './history.ts'
import { linesOf } from './lines.ts'

const FORMAT = 'annals-history'
const VERSION = 1
const LINES_AT_ONCE = 500

type Line =
  | { format: typeof FORMAT; version: number; run: Run; dump: Omit<Dump, 'entries'> }
  | { operation: Operation }
  | { stored: Dump['entries'][number] }
  | { end: { operations: number; entries: number } }

/** The file can't be judged; the message says why. */
class HistoryFileError extends Error {
  override name = 'HistoryFileError'
}

/** Writes a history; an existing file is replaced. */
export async function writeHistory(path: string, { run, operations, dump }: History): Promise<void> {
  const { entries, ...rest } = dump
  const file = await open(path, 'w')
  try {
    let text = ''
    let lines = 0
    const write = async (line: Line) => {
      text += `${JSON.stringify(line)}\n`
      if (++lines % LINES_AT_ONCE !== 0) return
      await file.write(text)
      text = ''
    }
    await write({ format: FORMAT, version: VERSION, run, dump: rest })
    for (const operation of operations) await write({ operation })
    for (const stored of entries) await write({ stored })
    await write({ end: { operations: operations.length, entries: entries.length } })
    await file.write(text)
  } finally {
    await file.close()
  }
}

/** Reads what {@link writeHistory} wrote. @throws HistoryFileError, or the system's error */
export async function readHistory(path: string): Promise<History> {
  const history: History = { ...EMPTY, operations: [], dump: { after: 0, head: 0, entries: [] } }
  const refuse = (why: string) => new HistoryFileError(`${path} can't be judged: ${why}`)
  let n = 0
  let isWhole = false
  for await (const text of linesOf(createReadStream(path))) {
    n++
    const line = parse(text)
    if (line === undefined) throw refuse(`line ${n} is not one of a history`)
    if ((n === 1) !== 'format' in line) throw refuse('its first line has to say that it is a history')
    if ('format' in line) {
      if (line.version !== VERSION) throw refuse(`it is of version ${line.version}, and this program knows ${VERSION}`)
      history.run = line.run
      Object.assign(history.dump, line.dump)
    } else if ('operation' in line) history.operations.push(line.operation)
    else if ('stored' in line) history.dump.entries.push(line.stored)
    else {
      const { operations, entries } = line.end
      isWhole = operations === history.operations.length && entries === history.dump.entries.length
    }
  }
  if (!isWhole) throw refuse('it is cut off')
  return history
}

const EMPTY = { run: { prefix: '', seed: 0, url: '', started_at: '' } }

function parse(text: string): Line | undefined {
  try {
    const line = JSON.parse(text) as Line
    const isOne = ['format', 'operation', 'stored', 'end'].some((name) => Object.hasOwn(line, name))
    return isOne && (!('format' in line) || line.format === FORMAT) ? line : undefined
  } catch {
    return undefined
  }
}
