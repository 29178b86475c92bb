// The program restic: one call, its JSON, and what it says when it can't.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { environmentWith } from '../../config.ts'
import { BackupError } from '../backup-error.ts'
import type { S3Access } from './s3-bucket.ts'

/** The settings of that name. */
export interface ResticAccess extends S3Access {
  RESTIC_PASSWORD?: string
  RESTIC_PASSWORD_FILE?: string
}

const KEPT_LINES = 5

/** What restic says, and the sentence for the operator. */
const SAID: [RegExp, (repository: string) => string][] = [
  [/wrong password|no key found/i, (repository) => `the password does not open the restic repository ${repository}`],
  [
    /unable to open config file|Is there a repository|repository does not exist/i,
    (repository) => `there is no restic repository at ${repository}: make one with restic init --repo ${repository}`,
  ],
  [
    /unable to create lock|already locked/i,
    (repository) => `somebody else has locked the restic repository ${repository}`,
  ],
]

export class Restic {
  readonly #repository: string
  readonly #access: ResticAccess

  /** @throws BackupError `refused` without a password */
  constructor(repository: string, access: ResticAccess) {
    this.#repository = repository
    this.#access = access
    if (access.RESTIC_PASSWORD === undefined && access.RESTIC_PASSWORD_FILE === undefined) {
      throw new BackupError('refused', `${repository} needs a password: set RESTIC_PASSWORD or RESTIC_PASSWORD_FILE`)
    }
  }

  /** Tells `onLine` each line of its standard output. @throws BackupError `refused`, `failed`, `stopped` */
  async run(args: string[], onLine: (line: string) => void, options: { signal?: AbortSignal; cwd?: string } = {}) {
    const child = spawn('restic', ['--repo', this.#repository, '--json', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environmentWith(onlyAccess(this.#access)),
      ...options,
    })
    const said: string[] = []
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    const reading = [eachLine(child.stdout, onLine), eachLine(child.stderr, (line) => said.push(line))]
    let code: number | null
    try {
      code = await ended
      await Promise.all(reading)
    } catch (cause) {
      options.signal?.throwIfAborted()
      const isAbsent = (cause as NodeJS.ErrnoException).code === 'ENOENT'
      throw new BackupError('refused', isAbsent ? 'restic is not installed: apt-get install restic' : String(cause), {
        cause,
      })
    }
    if (code !== 0) throw this.#inWords(said)
  }

  /** Its output as one JSON value. */
  async ask<T>(args: string[]): Promise<T> {
    const lines: string[] = []
    await this.run(args, (line) => lines.push(line))
    return JSON.parse(lines.join('\n') || 'null') as T
  }

  #inWords(said: string[]): BackupError {
    const text = said.join('\n')
    const known = SAID.find(([pattern]) => pattern.test(text))
    if (known !== undefined) return new BackupError('refused', known[1](this.#repository))
    return new BackupError('failed', 'restic failed', { evidence: said.slice(-KEPT_LINES) })
  }
}

/** Settings may hold more than the variables that restic reads. */
const onlyAccess = (access: ResticAccess): Record<string, string | undefined> => ({
  RESTIC_PASSWORD: access.RESTIC_PASSWORD,
  RESTIC_PASSWORD_FILE: access.RESTIC_PASSWORD_FILE,
  AWS_ACCESS_KEY_ID: access.AWS_ACCESS_KEY_ID,
  AWS_SECRET_ACCESS_KEY: access.AWS_SECRET_ACCESS_KEY,
  AWS_SESSION_TOKEN: access.AWS_SESSION_TOKEN,
  AWS_DEFAULT_REGION: access.AWS_REGION,
})

async function eachLine(stream: Readable, onLine: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream })) onLine(line)
}
