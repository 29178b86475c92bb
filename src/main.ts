#!/usr/bin/env node
// argv to one command; the only place that sets an exit code.

import { CommanderError } from 'commander'
import { buildProgram } from './cli/program.ts'
import { withoutPasswords } from './logger.ts'

const BAD_USAGE = 2
const FAILED = 1

process.exit(await run())

async function run(): Promise<number> {
  try {
    await buildProgram().parseAsync()
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : BAD_USAGE
    const { message, stack, exitCode } = error as Error & { exitCode?: number }
    const isDebugging = process.env['LOG_LEVEL'] === 'debug' || process.env['LOG_LEVEL'] === 'trace'
    console.error(withoutPasswords(isDebugging ? String(stack) : `annals: ${message}`))
    return exitCode ?? FAILED
  }
}
