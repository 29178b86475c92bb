// Peers that are HTTP services of their own (children/roof.ts, children/plain-reader.ts).

import { forkChild } from './child.ts'
import type { Bench } from './scenario.ts'

/** Starts one and answers where it listens; it is stopped with the scenario. */
export async function openPeer(bench: Bench, program: string, args: string[]): Promise<{ port: number }> {
  const child = forkChild(program, args)
  bench.closers.add(() => child.kill('SIGKILL'))
  return new Promise((resolve, reject) => {
    child.once('message', (message: { port: number }) => resolve(message))
    child.once('exit', (code) => reject(new Error(`${program} ended (${code}) before it listened`)))
  })
}
