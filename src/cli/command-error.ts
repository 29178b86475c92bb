/** EX_USAGE of sysexits.h: the command line is wrong; no command means anything else by it. */
export const BAD_USAGE = 64

/** Ends the command with this exit code; the message is all that is said. */
export class CommandError extends Error {
  override name = 'CommandError'
  readonly exitCode: number

  constructor(message: string, exitCode: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.exitCode = exitCode
  }
}
