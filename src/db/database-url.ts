// The files that the URL of a database names for TLS.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { SettingsError } from '../config.ts'

const FILES = ['sslrootcert', 'sslcert', 'sslkey'] as const

/**
 * Reads them once, so that one that is not there is a sentence at the start and not an error of each connection.
 * `name` is that of the setting or option.
 * @throws SettingsError that names the parameter
 */
export function checkDatabaseUrl(name: string, url: string): void {
  if (!URL.canParse(url)) return
  const { searchParams } = new URL(url)
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
