// What was started is stopped, in reverse order, whether the bench ends, fails, or is told to stop.

type Closer = () => unknown

export class Closers {
  readonly #closers = new Set<Closer>()
  #isClosing = false

  /** True as soon as everything is being stopped; what fails then fails because of that. */
  get isClosing(): boolean {
    return this.#isClosing
  }

  /** Remembers how to stop something; the answer stops it, once. */
  add(stop: Closer): () => Promise<void> {
    const closer = async () => {
      if (this.#closers.delete(closer)) await stop()
    }
    this.#closers.add(closer)
    // Started while the rest was being stopped.
    if (this.#isClosing) void closer()
    return closer
  }

  /** Closers of a part of the work, which may be closed before the rest. */
  part(): Closers {
    const part = new Closers()
    this.add(() => part.closeAll())
    return part
  }

  async closeAll(): Promise<void> {
    this.#isClosing = true
    for (const close of [...this.#closers].reverse()) {
      try {
        await close()
      } catch (error) {
        console.error(`could not stop something: ${(error as Error).message}`)
      }
    }
  }

  /** On Ctrl-C and SIGTERM stops everything and ends this process. */
  closeOnSignals(): void {
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      process.once(signal, () => {
        console.error(`\n${signal}: stopping what was started`)
        void this.closeAll().finally(() => process.exit(code))
      })
    }
  }
}
