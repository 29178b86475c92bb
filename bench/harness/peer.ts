// Peers that are HTTP services of their own (children/roof.ts, children/plain-reader.ts).

import { forkChild } from './child.ts'
import { processSeconds } from './processor-time.ts'
import type { Bench } from './scenario.ts'

export interface Peer {
  port: number
  /** What the process has used so far. */
  processorSeconds(): number
}

/** Starts one and answers where it listens; it is stopped with the scenario. */
export async function openPeer(bench: Bench, program: string, args: string[]): Promise<Peer> {
  const child = forkChild(program, args)
  bench.closers.add(() => child.kill('SIGKILL'))
  return new Promise((resolve, reject) => {
    const processorSeconds = () => processSeconds(child.pid as number)
    child.once('message', ({ port }: { port: number }) => resolve({ port, processorSeconds }))
    child.once('exit', (code) => reject(new Error(`${program} ended (${code}) before it listened`)))
  })
}
