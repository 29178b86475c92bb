// Certificate and key of the service's own TLS, read again when they change, so that a renewal needs no restart.

import { readFileSync } from 'node:fs'
import { createSecureContext, type Server } from 'node:tls'
import { SettingsError } from '../config.ts'
import type { TokenLog } from './tokens.ts'

export interface KeyPair {
  cert: string
  key: string
}

const RELOAD_INTERVAL_MS = 3_000

export class TlsFiles {
  readonly #files: KeyPair
  #pair: KeyPair
  #timer: NodeJS.Timeout | undefined
  #complaint = ''

  /** `files` are their paths. @throws SettingsError when they can't be read or do not belong together */
  constructor(files: KeyPair) {
    this.#files = files
    this.#pair = readPair(files)
  }

  get pair(): KeyPair {
    return this.#pair
  }

  /** Hands changes to `servers` from now on. A pair that is not whole changes nothing: it may be half written. */
  watch(servers: Server[], log: TokenLog, intervalMs = RELOAD_INTERVAL_MS): void {
    this.#timer = setInterval(() => {
      try {
        const pair = readPair(this.#files)
        this.#complaint = ''
        if (pair.cert === this.#pair.cert && pair.key === this.#pair.key) return
        for (const server of servers) server.setSecureContext(pair)
        this.#pair = pair
        log.info({}, 'TLS_CERT_FILE and TLS_KEY_FILE changed and were taken up')
      } catch (error) {
        const { message } = error as Error
        if (message === this.#complaint) return
        this.#complaint = message
        log.error({ reason: message }, 'TLS_CERT_FILE and TLS_KEY_FILE could not be taken up')
      }
    }, intervalMs).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }
}

function readPair(files: KeyPair): KeyPair {
  const pair = { cert: readText('TLS_CERT_FILE', files.cert), key: readText('TLS_KEY_FILE', files.key) }
  try {
    createSecureContext(pair)
  } catch (error) {
    throw new SettingsError(
      `TLS_CERT_FILE and TLS_KEY_FILE are no certificate in PEM with its key (${(error as NodeJS.ErrnoException).code ?? 'unreadable'})`,
    )
  }
  return pair
}

function readText(variable: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new SettingsError(`${variable} can't be read: ${(error as NodeJS.ErrnoException).code}`)
  }
}
