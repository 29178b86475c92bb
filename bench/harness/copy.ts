// COPY, the fastest way into and out of PostgreSQL: by psql where it is installed, else by `pg-copy-streams`.

import { execFile, spawn } from 'node:child_process'
import { closeSync, createReadStream, createWriteStream, openSync } from 'node:fs'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { importPeer } from './peer-packages.ts'

const LIMIT_MS = 600_000

export interface Copy {
  /** What does it, in words. */
  client: string
  /** Runs `COPY … TO STDOUT` into a file, or throws the rows away; seconds. */
  out(statement: string, file?: string): Promise<number>
  /** Runs `COPY … FROM STDIN` with the rows of a file; seconds. */
  in(statement: string, file: string): Promise<number>
}

export async function openCopy(databaseUrl: string): Promise<Copy> {
  const version = await promisify(execFile)('psql', ['--version']).then(
    ({ stdout }) => /\d+(\.\d+)?/.exec(stdout)?.[0],
    () => undefined,
  )
  return version === undefined ? byStreams(databaseUrl) : byPsql(databaseUrl, version)
}

function byPsql(databaseUrl: string, version: string): Copy {
  const run = async (statement: string, from = '/dev/null', to = '/dev/null'): Promise<number> => {
    const input = openSync(from, 'r')
    const output = openSync(to, 'w')
    const startedAt = performance.now()
    try {
      await new Promise<void>((resolve, reject) => {
        const args = ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', `--command=${statement}`, databaseUrl]
        const child = spawn('psql', args, { stdio: [input, output, 'inherit'], timeout: LIMIT_MS })
        child.once('error', reject)
        child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`psql failed: ${statement}`))))
      })
    } finally {
      closeSync(input)
      closeSync(output)
    }
    return (performance.now() - startedAt) / 1000
  }
  return { client: `psql ${version}`, out: (statement, file) => run(statement, undefined, file), in: run }
}

interface CopyStreams {
  from(statement: string): pg.Submittable & NodeJS.WritableStream
  to(statement: string): pg.Submittable & NodeJS.ReadableStream
}

async function byStreams(databaseUrl: string): Promise<Copy> {
  const { from, to } = (await importPeer('pg-copy-streams')) as CopyStreams
  const timed = async (run: (client: pg.Client) => Promise<void>): Promise<number> => {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    const startedAt = performance.now()
    try {
      await run(client)
    } finally {
      await client.end()
    }
    return (performance.now() - startedAt) / 1000
  }
  const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() })
  return {
    client: '`pg-copy-streams` from Node',
    out: (statement, file) =>
      timed((client) =>
        pipeline(client.query(to(statement)), file === undefined ? nowhere() : createWriteStream(file)),
      ),
    in: (statement, file) => timed((client) => pipeline(createReadStream(file), client.query(from(statement)))),
  }
}
