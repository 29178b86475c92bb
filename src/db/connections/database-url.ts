// The URL of a database, looked at before anything connects.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { SettingsError } from '../../config.ts'

const FILES = ['sslrootcert', 'sslcert', 'sslkey'] as const

/**
 * Reads it and the files that it names for TLS once, so that what is wrong is a sentence at the start and not an error of
 * each connection. `name` is that of the setting or option.
 * @throws SettingsError that shows nothing of the URL
 */
export function checkDatabaseUrl(name: string, url: string): void {
  if (!/^postgres(ql)?:\/\//.test(url)) {
    throw new SettingsError(`${name} must be a URL that starts with postgres:// or postgresql://`)
  }
  if (URL.canParse(url)) checkFiles(name, new URL(url))
  try {
    // It reads more than URLs, a password with blanks for instance, so it has the last word.
    void new pg.Client({ connectionString: url })
  } catch {
    throw new SettingsError(`${name} can't be read as a URL: percent-encode what is special in its password`)
  }
}

function checkFiles(name: string, { searchParams }: URL): void {
  for (const parameter of FILES) {
    const path = searchParams.get(parameter)
    if (path === null) continue
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch (error) {
      throw new SettingsError(`${name}: ${parameter} can't be read: ${(error as NodeJS.ErrnoException).code}`)
    }
    if (parameter !== 'sslkey' && !isCertificate(text)) {
      throw new SettingsError(`${name}: ${parameter} is no certificate in PEM`)
    }
  }
}

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject !== undefined
  } catch {
    return false
  }
}
