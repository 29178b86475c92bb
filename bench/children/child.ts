// The child's side of harness/child.ts: one task comes in, one result goes out.

/** Takes the one task that the parent sends, and answers with its result. */
export function serveTask<Task, Result>(run: (task: Task, started: () => void) => Promise<Result>): void {
  // Whatever happens to the parent, nobody is left behind.
  process.once('disconnect', () => process.exit(0))
  process.once('message', (task) => {
    run(task as Task, () => process.send?.({ kind: 'started' })).then(
      (result) => process.send?.({ kind: 'done', result }),
      (error: Error) => process.send?.({ kind: 'failed', message: error.stack ?? error.message }),
    )
  })
}
