#!/usr/bin/env node
// argv to one command; the only place that sets an exit code.

import { CommanderError } from 'commander'
import { BAD_USAGE } from './cli/command-error.ts'

const FAILED = 1

// Everybody on the machine can read the arguments of a process, and there may be a password or a token among them.
process.title = ['annals', ...process.argv.slice(2, 3).filter((word) => /^[a-z]+$/.test(word))].join(' ')
const isWal = process.argv[2] === 'wal'
// PostgreSQL takes up to 125 of `annals wal fetch` for the end of its log, and above that counts no failure of `archive`.
// Of a word that is none of them nobody knows which was meant, and a recovery that ends early is worse.
const WAL_FAILED = ['archive', 'conf'].includes(process.argv[3] ?? '') ? FAILED : 200

// A reader that goes away (`annals export | head`) is no reason to fail.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

const exitCode = await run()
// A pipe takes its time; ending the process would cut off what is still on its way.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))))
process.exit(exitCode)

async function run(): Promise<number> {
  try {
    const { buildProgram } = await import('./cli/program.ts')
    await (await buildProgram(process.argv[2])).parseAsync()
    return 0
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0
      return isWal ? WAL_FAILED : BAD_USAGE
    }
    const { message, stack, exitCode } = error as Error & { exitCode?: number }
    if (isWal) {
      console.error(`annals: ${message}`)
      return exitCode ?? WAL_FAILED
    }
    const { withoutPasswords } = await import('./logger.ts')
    const isDebugging = process.env['LOG_LEVEL'] === 'debug' || process.env['LOG_LEVEL'] === 'trace'
    console.error(withoutPasswords(isDebugging ? String(stack) : `annals: ${message}`))
    return exitCode ?? FAILED
  }
}
