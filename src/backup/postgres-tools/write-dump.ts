// Making a dump: pg_dump on the snapshot of a transaction of ours, so that what we count is what it writes.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { countRows, exportSnapshot, listRelations, readServer } from '../../db/backup/describe-database.ts'
import { Digest } from '../../db/backup/digest.ts'
import { readContents } from '../../db/backup/read-contents.ts'
import { BEGIN_SNAPSHOT, readHead } from '../../db/backup/read-store.ts'
import { connectToStore } from '../../db/backup/store-connection.ts'
import type { StoreContents } from '../../db/backup/store-contents.ts'
import { describeSchema, type SchemaDescription } from '../../db/migrations/schema-description.ts'
import type { CreateRequest, CreateResult } from '../driver.ts'
import { toolConnection } from './connection.ts'
import { type DumpDetails, dumpFileName } from './dump-details.ts'
import { type DumpPlan, type DumpType, planDump } from './dump-plan.ts'
import { findProgram, type Program } from './find-program.ts'
import { runProgram } from './run-program.ts'

const PROGRESS_MS = 500

export async function writeDump(type: DumpType, request: CreateRequest): Promise<CreateResult> {
  const { source, options, folder, id } = request
  const client = await connectToStore(source, 'backup')
  // One of both failing stops the other.
  const failing = new AbortController()
  const signal = AbortSignal.any([request.signal, failing.signal])
  const cut = () => void client.end().catch(() => {})
  signal.addEventListener('abort', cut)
  try {
    const server = await readServer(client)
    const program = await findProgram('pg_dump', { pgBin: request.pgBin, major: server.major, of: 'the server' })
    await client.query(BEGIN_SNAPSHOT)
    const snapshot = await exportSnapshot(client)
    const plan = planDump(type, { schema: source.schema, relations: await listRelations(client), options })
    const format = options.format ?? 'custom'
    const file = dumpFileName(id, format, options.gzip ?? false)
    const dumping = dump(program, { ...request, signal }, { plan, snapshot, file: join(folder, file), format })
    const looking = look(client, type, { ...request, signal }, plan)
    const [, found] = await Promise.all([dumping, looking]).catch(async (error: unknown) => {
      failing.abort()
      await Promise.allSettled([dumping, looking])
      throw error
    })
    const details: DumpDetails = {
      ...{ format, file, tool_major: program.major, lsn: server.lsn },
      ...{ rows: found.rows, objects: found.objects },
    }
    return { tool: `pg_dump ${program.version}`, contents: found.contents, details: { ...details } }
  } finally {
    signal.removeEventListener('abort', cut)
    await client.end().catch(() => {})
  }
}

interface Dumping {
  plan: DumpPlan
  snapshot: string
  file: string
  format: 'custom' | 'plain'
}

async function dump(
  program: Program,
  request: CreateRequest,
  { plan, snapshot, file, format }: Dumping,
): Promise<void> {
  const { argument, env } = toolConnection(request.source.url)
  const level = format === 'custom' || request.options.gzip ? 9 : 0
  const args = [
    ...[argument, '--no-password', `--snapshot=${snapshot}`, '--encoding=UTF8', `--file=${file}`],
    ...[`--format=${format}`, `--compress=${level}`, ...plan.args],
    // Plain SQL can't be told later to leave them out, and who restores may be another role.
    ...(format === 'plain' ? ['--no-owner', '--no-acl'] : []),
  ]
  const timer = setInterval(() => {
    const tell = ({ size }: { size: number }) =>
      request.progress({ step: 'pg_dump', unit: 'bytes', done: size, total: null })
    void stat(file).then(tell, () => {})
  }, PROGRESS_MS)
  try {
    await runProgram(program, { args, env, signal: request.signal })
  } finally {
    clearInterval(timer)
  }
}

interface Found {
  rows: Record<string, number>
  objects: SchemaDescription
  contents: StoreContents | null
}

/** What the dump shows, counted and described in the same snapshot. */
async function look(
  client: pg.Client,
  type: DumpType,
  { source, signal }: CreateRequest,
  plan: DumpPlan,
): Promise<Found> {
  const rows = await countRows(client, plan.filled)
  const all = await describeSchema((text, values) => client.query(text, values), source.schema)
  const objects = type === 'data' ? {} : plan.defined === undefined ? all : objectsOf(plan.defined, all)
  if (type === 'schema' || type === 'tables') return { rows, objects, contents: null }
  const { head, epoch, migration } = await readHead(client, source.schema)
  const tables = type === 'events' ? ['events'] : ['events', 'snapshots']
  const none = { head, events: 0, snapshots: 0, events_digest: new Digest().hex, snapshots_digest: new Digest().hex }
  const read = await readContents(client, source.schema, { tables, signal, onRows: () => {} })
  return { rows, objects, contents: { epoch, migration, ...none, ...read } }
}

/** Of a schema what belongs to some of its tables, and all functions. */
function objectsOf(tables: string[], all: SchemaDescription): SchemaDescription {
  const belongs = ([object, definition]: [string, string]) => {
    const [kind, name = ''] = object.split(' ')
    if (kind === 'function') return true
    if (kind === 'index') return tables.includes(/ ON (?:ONLY )?(\S+) USING /.exec(definition)?.[1] ?? '')
    return tables.some((table) => name === table || name.startsWith(`${table}.`))
  }
  return Object.fromEntries(Object.entries(all).filter(belongs))
}
