// Roles and tablespaces of a server, by pg_dumpall: what no dump of a database has.

import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Transform, type TransformCallback } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { listRoles, readServer } from '../../db/backup/describe-database.ts'
import { connectToStore } from '../../db/backup/store-connection.ts'
import { OptionError } from '../backup-error.ts'
import type { BackupDriver, CreateRequest, CreateResult, RestoreRequest } from '../driver.ts'
import { toolConnection } from './connection.ts'
import { type DumpDetails, dumpDetails, dumpFileName, onlyOne } from './dump-details.ts'
import { findProgram } from './find-program.ts'
import { readDump } from './read-dump.ts'
import { runProgram } from './run-program.ts'

export const globalsDriver: BackupDriver = {
  type: 'globals',
  about: {
    summary: 'roles, their rights on each other, and tablespaces of the server, by pg_dumpall',
    advantages: ['what dumps of databases leave out'],
    disadvantages: ['no events', 'with hashed passwords when a superuser makes it, without them otherwise'],
    needs: ['pg_dumpall and psql, at least as new as the server'],
  },
  isIncremental: false,
  takes: ['format', 'gzip'],
  checkOptions({ format }) {
    if (format === 'custom') throw new OptionError('format', 'only_plain', 'is plain for roles, always')
  },
  create,
  read: readDump,
  restore,
}

async function create({ id, folder, source, options, pgBin, signal }: CreateRequest): Promise<CreateResult> {
  const client = await connectToStore(source, 'backup')
  try {
    const server = await readServer(client)
    const program = await findProgram('pg_dumpall', { pgBin, major: server.major, of: 'the server' })
    const { argument, env } = toolConnection(source.url)
    const args = ['--globals-only', '--no-password', argument, ...(server.is_superuser ? [] : ['--no-role-passwords'])]
    const file = dumpFileName(id, 'plain', options.gzip ?? false)
    const target = createWriteStream(join(folder, file), { mode: 0o600, flags: 'wx' })
    const output = new PassThrough()
    const written = pipeline(options.gzip ? [output, createGzip({ level: 9 }), target] : [output, target])
    written.catch(() => {})
    await runProgram(program, { args, env, signal, output })
    await written
    const details: DumpDetails = {
      format: 'plain',
      file,
      tool_major: program.major,
      lsn: server.lsn,
      rows: {},
      objects: {},
    }
    return { tool: `pg_dumpall ${program.version}`, contents: null, details: { ...details } }
  } finally {
    await client.end().catch(() => {})
  }
}

/** Adds the roles that the server does not have; those that it has stay as they are. */
async function restore(request: RestoreRequest): Promise<void> {
  const { folder, manifest } = onlyOne(request.chain)
  const { file } = dumpDetails(manifest)
  const client = await connectToStore(request.target, 'restore')
  try {
    const server = await readServer(client)
    const known = new Set(await listRoles(client))
    const program = await findProgram('psql', { pgBin: request.pgBin, major: server.major, of: 'the server' })
    const { argument, env } = toolConnection(request.target.url)
    const args = [
      '--no-psqlrc',
      '--quiet',
      '--no-password',
      '--single-transaction',
      '--set=ON_ERROR_STOP=1',
      argument,
      '--file=-',
    ]
    const input = new NewRolesOnly(known)
    const source = createReadStream(join(folder, file))
    const filled = pipeline(file.endsWith('.gz') ? [source, createGunzip(), input] : [source, input])
    filled.catch(() => {})
    await runProgram(program, { args, env, signal: request.signal, input })
    await filled
    if (input.kept.size > 0) request.log(`left as they are, because the server has them: ${[...input.kept].join(', ')}`)
  } finally {
    await client.end().catch(() => {})
  }
}

const OF_A_ROLE =
  /^(?:CREATE ROLE ("(?:[^"]|"")+"|[^\s;]+);|ALTER ROLE ("(?:[^"]|"")+"|[^\s;]+) (?:WITH|SET|IN DATABASE) )/

/** Leaves out the statements, one a line, that make or change a role which is there. The text is small. */
class NewRolesOnly extends Transform {
  readonly kept = new Set<string>()
  readonly #known: ReadonlySet<string>
  readonly #pieces: Buffer[] = []

  constructor(known: ReadonlySet<string>) {
    super()
    this.#known = known
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#pieces.push(piece)
    done()
  }

  override _flush(done: TransformCallback): void {
    const lines = Buffer.concat(this.#pieces).toString().split('\n')
    const isNew = (line: string) => {
      const match = OF_A_ROLE.exec(line)
      const role = match?.[1] ?? match?.[2]
      if (role === undefined || !this.#known.has(role)) return true
      this.kept.add(role)
      return false
    }
    done(null, lines.filter(isNew).join('\n'))
  }
}
