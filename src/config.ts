// The settings, read once from the environment (and `.env`), checked one by one and together, and frozen.

import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { defaultOf, PROFILES, type Profile, type SettingName, Settings } from './settings.ts'

/** A setting that can't be used; the message names the variable and what is allowed. */
export class SettingsError extends Error {
  override name = 'SettingsError'
}

export interface LoadedSettings {
  settings: Readonly<Settings>
  /** Where each value came from. */
  origins: Readonly<Record<string, 'environment' | 'profile' | 'default'>>
}

/**
 * Reads the settings from `env`. An empty value counts as absent.
 * @throws SettingsError naming the first variable that is wrong and what it may be.
 */
export function loadSettings(env: Record<string, string | undefined>): LoadedSettings {
  const values: Record<string, unknown> = {}
  const origins: Record<string, 'environment' | 'profile' | 'default'> = {}
  const profile = profileOf(env)
  for (const [name, schema] of Object.entries(Settings.properties)) {
    const given = name === 'APP_ENV' ? profile : env[name]
    if (given !== undefined && given !== '') {
      values[name] = readValue(name, schema, given)
      origins[name] = 'environment'
      continue
    }
    const value = defaultOf(name as SettingName, profile)
    if (value === undefined) continue
    values[name] = value
    origins[name] = PROFILES[profile][name as SettingName] === undefined ? 'default' : 'profile'
  }
  const settings = values as Settings
  checkTogether(settings, origins)
  return { settings: Object.freeze(settings), origins: Object.freeze(origins) }
}

/** Variables of the file `.env` in `folder`, below those of `env`; no file is no variables. */
export function withEnvFile(
  env: Record<string, string | undefined>,
  folder: string,
): Record<string, string | undefined> {
  try {
    return { ...(parseEnv(readFileSync(`${folder}/.env`, 'utf8')) as Record<string, string>), ...env }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return env
    throw new SettingsError(`.env can't be read: ${(error as Error).message}`)
  }
}

/** For a program that is started: the environment that this one has, and what is named beside it. */
export const environmentWith = (values: Record<string, string | undefined>): Record<string, string | undefined> => ({
  ...process.env,
  ...Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)),
})

function profileOf(env: Record<string, string | undefined>): Profile {
  const given = env['APP_ENV'] || env['RUST_ENV'] || env['NODE_ENV'] || 'development'
  // NODE_ENV=test is a habit of test runners, not a profile of ours.
  if (!env['APP_ENV'] && given === 'test') return 'development'
  return readValue('APP_ENV', Settings.properties.APP_ENV, given) as Profile
}

function readValue(name: string, schema: TSchema, given: string): unknown {
  const value = schema['type'] === 'integer' && /^-?\d{1,15}$/.test(given) ? Number(given) : given
  if (Value.Check(schema, value)) return value
  const shown = schema['secret'] ? '' : ` is ${JSON.stringify(given)}, but`
  throw new SettingsError(`${name}${shown} must be ${allowed(schema)}`)
}

/** What a setting may be, in words. */
export function allowed(schema: TSchema): string {
  if (schema['anyOf']) return `one of ${(schema['anyOf'] as TSchema[]).map((each) => each['const']).join(', ')}`
  if (schema['type'] === 'integer') return `a whole number from ${schema['minimum']} to ${schema['maximum']}`
  if (schema['pattern']) return `text that matches ${schema['pattern']}`
  return schema['minLength'] > 1 ? `${schema['minLength']} characters or more` : 'text'
}

/** Each gives up before the next one does, so that the answer says what was really waited for. */
const TIMEOUT_LADDER = [
  'DATABASE_LOCK_TIMEOUT_MS',
  'DATABASE_STATEMENT_TIMEOUT_MS',
  'DATABASE_QUERY_TIMEOUT_MS',
  'REQUEST_TIMEOUT_MS',
] as const

function checkLadder(settings: Settings, shorter: SettingName, longer: SettingName): void {
  if ((settings[shorter] as number) < (settings[longer] as number)) return
  throw new SettingsError(
    `${shorter} is ${settings[shorter]}, but must be less than ${longer}, which is ${settings[longer]}`,
  )
}

function checkTogether(settings: Settings, origins: Record<string, string>): void {
  TIMEOUT_LADDER.slice(1).forEach((longer, i) => checkLadder(settings, TIMEOUT_LADDER[i] as SettingName, longer))
  checkLadder(settings, 'DATABASE_ACQUIRE_TIMEOUT_MS', 'REQUEST_TIMEOUT_MS')
  checkLadder(settings, 'APPEND_QUEUE_TIMEOUT_MS', 'REQUEST_TIMEOUT_MS')
  checkLadder(settings, 'REQUEST_HEADERS_TIMEOUT_MS', 'REQUEST_ARRIVAL_TIMEOUT_MS')
  const { DATABASE_MIN_CONNECTIONS: min, DATABASE_MAX_CONNECTIONS: max } = settings
  if (min > max) {
    // A lone maximum below the profile's minimum lowers the minimum; only two explicit values can contradict.
    if (origins['DATABASE_MIN_CONNECTIONS'] === 'environment') {
      throw new SettingsError(
        `DATABASE_MIN_CONNECTIONS is ${min}, but must be at most DATABASE_MAX_CONNECTIONS (${max})`,
      )
    }
    settings.DATABASE_MIN_CONNECTIONS = max
  }
  for (const name of ['DATABASE_URL', 'DATABASE_DIRECT_URL'] as const) {
    const url = settings[name]
    if (url !== undefined && !/^postgres(ql)?:\/\//.test(url)) {
      throw new SettingsError(`${name} must be a URL that starts with postgres:// or postgresql://`)
    }
  }
  if (settings.REDIS_URL !== undefined && !/^rediss?:\/\//.test(settings.REDIS_URL)) {
    throw new SettingsError('REDIS_URL must be a URL that starts with redis:// or rediss://')
  }
  if ((settings.TLS_CERT_FILE === undefined) !== (settings.TLS_KEY_FILE === undefined)) {
    throw new SettingsError('TLS_CERT_FILE and TLS_KEY_FILE belong together: set both, or neither')
  }
  if (settings.METRICS_TLS === 'on' && settings.TLS_CERT_FILE === undefined) {
    throw new SettingsError('METRICS_TLS is on, but TLS_CERT_FILE is not set: set it, or leave METRICS_TLS off')
  }
  if ((settings.AWS_ACCESS_KEY_ID === undefined) !== (settings.AWS_SECRET_ACCESS_KEY === undefined)) {
    throw new SettingsError('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both, or neither')
  }
  if (settings.DATABASE_DIRECT_URL !== undefined && settings.DATABASE_URL === undefined) {
    throw new SettingsError('DATABASE_DIRECT_URL is set, but DATABASE_URL is not: set both, or neither')
  }
}
