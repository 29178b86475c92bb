// JSON lines on standard output, through one buffer, for pino's lines and for the request lines made by hand.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Logger, pino } from 'pino'
import type { Settings } from './settings.ts'

export interface Log {
  logger: Logger
  /** Writes a line that is already made. */
  writeLine(line: string): void
  /** Writes out what is buffered, before the process ends; gives up on a reader that does not read. */
  flush(): Promise<void>
}

interface Sink {
  write(line: string): unknown
  flush?(done: () => void): void
  on?(event: 'error', listener: () => void): void
}

const SECRETS = [
  'authorization',
  'password',
  'token',
  'headers.authorization',
  '*.authorization',
  '*.password',
  '*.token',
  // What an error of Redis was about, AUTH with its password included; and a certificate, which is only long.
  'err.command',
  'err.cert',
]

const FLUSH_TIMEOUT_MS = 500

/** Hides the password of every URL in `text`. */
export const withoutPasswords = (text: string): string =>
  text.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:@/"]*):[^\s@/"]*@/gi, '$1:***@')

/** A log at the level of the settings, to standard output unless another sink is given. */
export function openLog({ LOG_LEVEL }: Pick<Settings, 'LOG_LEVEL'>, sink?: Sink): Log {
  const target: Sink = sink ?? pino.destination({ fd: 1, sync: false })
  // A reader that went away is no reason to stop serving.
  target.on?.('error', () => {})
  const writeLine = (line: string): void => {
    target.write(line.includes('://') ? withoutPasswords(line) : line)
  }
  const logger = pino({ level: LOG_LEVEL, base: null, redact: { paths: SECRETS, censor: '***' } }, { write: writeLine })
  return {
    logger,
    writeLine,
    async flush() {
      const flushed = new Promise<void>((resolve) => (target.flush === undefined ? resolve() : target.flush(resolve)))
      await Promise.race([flushed, sleep(FLUSH_TIMEOUT_MS, undefined, { ref: false })])
    },
  }
}
