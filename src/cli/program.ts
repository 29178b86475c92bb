import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { serveCommand } from './serve.ts'

/** All commands. */
export function buildProgram(): Command {
  return new Command('annals')
    .description('An event store with an HTTP API on PostgreSQL')
    .version(VERSION)
    .addCommand(serveCommand())
}
