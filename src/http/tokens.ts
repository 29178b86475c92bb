// Bearer tokens and what they allow. A presented token is hashed once and compared with every known hash in
// constant time, so neither a near miss nor the place in the list can be measured.

import { hash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { SettingsError } from '../config.ts'
import { type Caller, grantOf, isScope, SCOPES, type Scope } from './scopes.ts'

interface Entry {
  /** SHA-256 of the token. */
  digest: Buffer
  scopes: readonly Scope[]
}

interface Holder {
  digest: Buffer
  caller: Caller
}

const RULE = `scope[+scope]:token, with scopes of ${SCOPES.join(', ')} and a token of 16 or more visible ASCII characters, or sha256:<64 hex digits>`
// How often the file is looked at; the contract promises 10 s.
const RELOAD_INTERVAL_MS = 3_000

export interface TokenSources {
  /** Comma-separated entries. */
  list?: string | undefined
  /** Path of a file with one entry a line; blank lines and lines that start with `#` are skipped. */
  file?: string | undefined
}

export interface TokenLog {
  info(details: object, message: string): void
  error(details: object, message: string): void
}

/** Knows the configured tokens; the file among them is read again when it changes. */
export class Tokens {
  readonly #listed: readonly Entry[]
  readonly #file: string | undefined
  #fileDigest: Buffer | undefined
  #holders: readonly Holder[] = []
  #timer: NodeJS.Timeout | undefined
  #complaint = ''

  /** @throws SettingsError that names the variable and the entry, never its text */
  constructor({ list, file }: TokenSources) {
    this.#listed = list === undefined ? [] : readEntries(list.split(','), 'ANNALS_TOKENS', 'entry')
    this.#file = file
    this.#holders = holdersOf(this.#listed)
    if (file === undefined) return
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch (error) {
      throw new SettingsError(`ANNALS_TOKENS_FILE can't be read: ${(error as NodeJS.ErrnoException).code}`)
    }
    this.#holders = holdersOf([...this.#listed, ...readFileEntries(text)])
    this.#fileDigest = digestOf(text)
    if (this.#holders.length === 0) {
      throw new SettingsError(`ANNALS_TOKENS_FILE holds no token; a line must be ${RULE}`)
    }
  }

  /** True when at least one variable names tokens; an emptied file never makes the service open. */
  static areConfigured({ list, file }: TokenSources): boolean {
    return list !== undefined || file !== undefined
  }

  /** Who holds the token with this SHA-256; undefined when nobody does. */
  holderOf(digest: Buffer): Caller | undefined {
    let caller: Caller | undefined
    for (const holder of this.#holders) if (timingSafeEqual(holder.digest, digest)) caller = holder.caller
    return caller
  }

  /** Takes up changes of the file from now on. */
  watch(log: TokenLog, intervalMs = RELOAD_INTERVAL_MS): void {
    if (this.#file === undefined || this.#timer !== undefined) return
    this.#timer = setInterval(() => void this.#reload(log), intervalMs)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  // A file that can't be read or has a malformed line leaves the known tokens as they are: half a file must not
  // lock anybody out. A file without entries revokes all of its tokens.
  async #reload(log: TokenLog): Promise<void> {
    try {
      const text = await readFile(this.#file as string, 'utf8')
      const digest = digestOf(text)
      if (this.#fileDigest?.equals(digest)) return
      const entries = readFileEntries(text)
      this.#holders = holdersOf([...this.#listed, ...entries])
      this.#fileDigest = digest
      this.#complaint = ''
      log.info({ tokens: entries.length }, 'ANNALS_TOKENS_FILE changed and was taken up')
    } catch (error) {
      const complaint = error instanceof SettingsError ? error.message : String((error as NodeJS.ErrnoException).code)
      if (complaint === this.#complaint) return
      this.#complaint = complaint
      log.error({ reason: complaint }, 'ANNALS_TOKENS_FILE could not be taken up; the tokens stay as they were')
    }
  }
}

/** Its SHA-256. */
export const digestOf = (token: string): Buffer => hash('sha256', token, 'buffer')

// A token that is there twice has the scopes of both.
function holdersOf(entries: readonly Entry[]): Holder[] {
  const scopes = new Map<string, Scope[]>()
  for (const entry of entries) {
    const hex = entry.digest.toString('hex')
    scopes.set(hex, [...(scopes.get(hex) ?? []), ...entry.scopes])
  }
  return [...scopes].map(([hex, names]) => ({
    digest: Buffer.from(hex, 'hex'),
    caller: { grant: grantOf(names), key: keyOf(hex) },
  }))
}

/** Stands for a token in counters: half of its hash is enough to tell it from others, and no use to anybody. */
export const keyOf = (hex: string): string => `token:${hex.slice(0, 32)}`

const readFileEntries = (text: string): Entry[] =>
  readEntries(
    text.split('\n').map((line) => (line.trim().startsWith('#') ? '' : line)),
    'ANNALS_TOKENS_FILE',
    'line',
  )

function readEntries(texts: string[], variable: string, unit: 'entry' | 'line'): Entry[] {
  const entries: Entry[] = []
  for (const [index, text] of texts.entries()) {
    if (unit === 'line' && text.trim() === '') continue
    const entry = readEntry(text.trim())
    if (entry === undefined) throw new SettingsError(`${variable}: ${unit} ${index + 1} must be ${RULE}`)
    entries.push(entry)
  }
  return entries
}

function readEntry(text: string): Entry | undefined {
  const [, names, secret] = /^([a-z+]+):(.+)$/.exec(text) ?? []
  if (names === undefined || secret === undefined) return undefined
  const scopes = names.split('+')
  if (!scopes.every(isScope)) return undefined
  if (secret.startsWith('sha256:')) {
    const hex = secret.slice('sha256:'.length)
    return /^[0-9a-f]{64}$/i.test(hex) ? { digest: Buffer.from(hex, 'hex'), scopes } : undefined
  }
  return /^[\x21-\x7e]{16,}$/.test(secret) ? { digest: digestOf(secret), scopes } : undefined
}
