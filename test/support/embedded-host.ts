// A process of its own that holds an embedded PostgreSQL, so that a test can kill it.
// Prints one line of JSON when it has started or failed; `stop` on stdin stops in order, `exit` just ends.

import { createInterface } from 'node:readline'
import { type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.ts'

const options = JSON.parse(process.argv[2] as string) as EmbeddedPostgresOptions
const log = { info() {}, warn() {}, error() {} }

try {
  const server = await startEmbeddedPostgres({ ...options, log })
  console.log(JSON.stringify({ ...server, pid: server.pid }))
  for await (const line of createInterface(process.stdin)) {
    if (line === 'exit') process.exit(0)
    await server.stop()
    // Not by process.exit(): tap hooks into it and writes a file, which another user may not.
    process.kill(process.pid, 'SIGKILL')
  }
} catch (error) {
  console.log(JSON.stringify({ error: (error as Error).name, message: (error as Error).message }))
}
