// Programs of the bench that run as processes of their own, so that they share nothing but the cores.

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const CHILDREN = new URL('../children/', import.meta.url)
const running = new Set<ChildProcess>()

/** Ends the children that still run; they do so by themselves when this process dies. */
export function endChildren(): void {
  for (const child of running) child.kill('SIGKILL')
}

/**
 * Runs one of `bench/children` with one task and resolves with its result.
 * @throws Error when it fails, ends without a result, or takes longer than `limitSeconds`
 */
export function runTask<Task, Result>(
  program: string,
  task: Task,
  limitSeconds: number,
  started?: () => void,
): Promise<Result> {
  const child = forkChild(program, [])
  return new Promise<Result>((resolve, reject) => {
    const timer = setTimeout(() => fail(`took longer than ${limitSeconds} s`), limitSeconds * 1000)
    const fail = (reason: string) => reject(new Error(`${program} ${reason}`))
    child.once('exit', (code, signal) => fail(`ended early (${signal ?? code})`))
    child.on('message', (message: { kind: string; result: Result; message: string }) => {
      if (message.kind === 'started') started?.()
      else if (message.kind === 'done') resolve(message.result)
      else fail(`failed: ${message.message}`)
    })
    child.send(task as object)
    void child.once('exit', () => clearTimeout(timer))
  }).finally(() => child.kill('SIGKILL'))
}

/** Starts one of `bench/children` that serves until it is ended. */
export function forkChild(program: string, args: string[]): ChildProcess {
  const child = fork(fileURLToPath(new URL(program, CHILDREN)), args, {
    execArgv: ['--import', 'tsx'],
    serialization: 'advanced',
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}
