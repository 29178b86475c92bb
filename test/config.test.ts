import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { exportSettings } from '../src/cli/config.ts'
import { allowed, loadSettings, SettingsError, withEnvFile } from '../src/config.ts'
import { defaultOf, PROFILES, Settings } from '../src/settings.ts'
import { spawnAnnals } from './support/service.ts'

const names = Object.keys(Settings.properties)
const refusal = (env: Record<string, string>): string => {
  try {
    loadSettings(env)
  } catch (error) {
    if (error instanceof SettingsError) return error.message
    throw error
  }
  return 'accepted'
}

t.test('without any variable the service is a development one on loopback with a database of its own', async (t) => {
  const { settings, origins } = loadSettings({})
  t.match(settings, {
    APP_ENV: 'development',
    HOST: '127.0.0.1',
    PORT: 8080,
    DATA_DIR: '.annals',
    DATABASE_SCHEMA: 'public',
  })
  t.notHas(settings, 'DATABASE_URL')
  t.notHas(settings, 'METRICS_PORT')
  t.equal(origins['PORT'], 'default')
  t.ok(Object.isFrozen(settings), 'and can not be changed afterwards')
})

t.test('each profile has the connection numbers of the production guide', async (t) => {
  const numbers = (APP_ENV: string) => {
    const { settings, origins } = loadSettings({ APP_ENV })
    t.equal(origins['DATABASE_MAX_CONNECTIONS'], 'profile')
    return [settings.DATABASE_MIN_CONNECTIONS, settings.DATABASE_MAX_CONNECTIONS]
  }
  t.strictSame(numbers('development'), [1, 5])
  t.strictSame(numbers('staging'), [2, 10])
  t.strictSame(numbers('production'), [5, 20])
  t.match(loadSettings({ APP_ENV: 'production' }).settings, {
    DATABASE_IDLE_TIMEOUT_SECONDS: 600,
    DATABASE_MAX_LIFETIME_SECONDS: 1800,
  })
})

t.test('the profile is read from APP_ENV, then RUST_ENV, then NODE_ENV', async (t) => {
  const profile = (env: Record<string, string>) => loadSettings(env).settings.APP_ENV
  t.equal(profile({ RUST_ENV: 'production' }), 'production')
  t.equal(profile({ NODE_ENV: 'staging' }), 'staging')
  t.equal(profile({ APP_ENV: 'development', RUST_ENV: 'production', NODE_ENV: 'production' }), 'development')
  t.equal(profile({ APP_ENV: '', RUST_ENV: 'staging', NODE_ENV: 'production' }), 'staging')
  t.equal(profile({ NODE_ENV: 'test' }), 'development', 'what test runners set is no profile of ours')
  t.equal(refusal({ RUST_ENV: 'prod' }), 'APP_ENV is "prod", but must be one of development, staging, production')
})

t.test('a given value wins over the profile and says where it came from; an empty one counts as absent', async (t) => {
  const { settings, origins } = loadSettings({ APP_ENV: 'production', DATABASE_MAX_CONNECTIONS: '7', PORT: '' })
  t.equal(settings.DATABASE_MAX_CONNECTIONS, 7)
  t.equal(origins['DATABASE_MAX_CONNECTIONS'], 'environment')
  t.equal(settings.PORT, 8080)
  t.equal(origins['PORT'], 'default')
})

t.test('a wrong value names the variable, what it is and what it may be', async (t) => {
  t.equal(refusal({ PORT: '80a' }), 'PORT is "80a", but must be a whole number from 0 to 65535')
  t.equal(refusal({ PORT: '65536' }), 'PORT is "65536", but must be a whole number from 0 to 65535')
  t.equal(
    refusal({ LOG_LEVEL: 'verbose' }),
    'LOG_LEVEL is "verbose", but must be one of fatal, error, warn, info, debug, trace, silent',
  )
  t.equal(refusal({ MIGRATE_ON_START: 'true' }), 'MIGRATE_ON_START is "true", but must be one of on, off')
  t.match(refusal({ DATABASE_SCHEMA: 'a"; drop' }), /^DATABASE_SCHEMA is .* must be text that matches/)
  for (const notWhole of ['1e3', '0x10', ' 5', '5.0', '+5', '٣', '12345678901234567890', 'NaN']) {
    t.match(refusal({ PORT: notWhole }), /^PORT is .* whole number/, `${notWhole} is not taken for a number`)
  }
})

t.test('a secret is not repeated when it is wrong', async (t) => {
  const url = 'mysql://annals:open-sesame@db/annals'
  t.equal(refusal({ DATABASE_URL: url }), 'DATABASE_URL must be a URL that starts with postgres:// or postgresql://')
  t.equal(refusal({ DATABASE_URL: 'postgres://db/annals', DATABASE_DIRECT_URL: url }).includes('sesame'), false)
})

t.test('settings that contradict each other are refused', async (t) => {
  t.equal(
    refusal({ DATABASE_MIN_CONNECTIONS: '9', DATABASE_MAX_CONNECTIONS: '8' }),
    'DATABASE_MIN_CONNECTIONS is 9, but must be at most DATABASE_MAX_CONNECTIONS (8)',
  )
  t.match(refusal({ DATABASE_DIRECT_URL: 'postgres://db/annals' }), /DATABASE_URL is not: set both, or neither/)
  const ladder = ['DATABASE_LOCK', 'DATABASE_STATEMENT', 'DATABASE_QUERY', 'REQUEST'].map(
    (rung) => `${rung}_TIMEOUT_MS`,
  )
  const times = Object.fromEntries(ladder.map((rung, i) => [rung, String(2_000 + i)]))
  t.doesNotThrow(() => loadSettings(times), 'each rung is a little longer than the one below')
  ladder.slice(1).forEach((longer, i) => {
    const shorter = ladder[i] as string
    t.equal(
      refusal({ ...times, [shorter]: times[longer] as string }),
      `${shorter} is ${times[longer]}, but must be less than ${longer}, which is ${times[longer]}`,
    )
  })
  for (const wait of ['DATABASE_ACQUIRE_TIMEOUT_MS', 'APPEND_QUEUE_TIMEOUT_MS']) {
    t.match(refusal({ [wait]: '8000' }), `${wait} is 8000, but must be less than REQUEST_TIMEOUT_MS, which is 7000`)
  }
  const { settings } = loadSettings({ APP_ENV: 'production', DATABASE_MAX_CONNECTIONS: '3' })
  t.equal(settings.DATABASE_MIN_CONNECTIONS, 3, 'a lone maximum takes the minimum of the profile down with it')
})

t.test('the file .env is read below the environment', async (t) => {
  const folder = t.testdir({ '.env': '# a comment\nPORT=9000\nHOST="::1"\n' })
  const { settings } = loadSettings(withEnvFile({ HOST: '127.0.0.2' }, folder))
  t.match(settings, { PORT: 9000, HOST: '127.0.0.2' })
  t.strictSame(withEnvFile({ A: 'b' }, t.testdir({})), { A: 'b' }, 'no file is no variables')
  t.throws(() => withEnvFile({}, t.testdir({ '.env': {} })), /\.env can't be read/)
})

t.test('every default is a value that the setting allows', async (t) => {
  for (const profile of Object.keys(PROFILES) as (keyof typeof PROFILES)[]) {
    const env = Object.fromEntries(
      names.flatMap((name) => {
        const value = defaultOf(name as keyof Settings, profile)
        return value === undefined ? [] : [[name, String(value)]]
      }),
    )
    t.strictSame(loadSettings({ APP_ENV: profile, ...env }).settings, loadSettings({ APP_ENV: profile }).settings)
  }
})

t.test('the settings reference and .env.example name every setting, and nothing else', async (t) => {
  const root = join(import.meta.dirname, '..')
  const reference = readFileSync(join(root, 'docs/reference/settings.md'), 'utf8')
  t.strictSame(
    [...reference.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name]) => name),
    names,
  )
  for (const schema of Object.values(Settings.properties)) t.ok(reference.includes(allowed(schema)), allowed(schema))
  const example = readFileSync(join(root, '.env.example'), 'utf8').replaceAll(/^# ([A-Z_]+=)/gm, '$1')
  t.strictSame(Object.keys(parseEnv(example)).sort(), [...names].sort())
  t.strictSame(loadSettings(parseEnv(example)).settings, loadSettings({}).settings, 'and its values are the defaults')
})

t.test('what was given goes into a file for a repository, and of secrets only their names', async (t) => {
  const word = 'canary-of-at-least-thirty-two-characters'
  const valueOf: Record<string, string> = {
    ...{ DATABASE_URL: `postgres://annals:${word}@db/annals`, REDIS_URL: `redis://:${word}@redis`, JWT_SECRET: word },
    ANNALS_TOKENS: `admin:${word}`,
  }
  const secrets = Object.entries(Settings.properties).flatMap(([name, schema]) => (schema['secret'] ? [name] : []))
  const env: Record<string, string> = {
    ...Object.fromEntries(secrets.map((name) => [name, valueOf[name] ?? word])),
    ...{ DATABASE_DIRECT_URL: `postgres://annals:${word}@db/annals`, APP_ENV: 'production', PORT: '9090' },
    ...{
      BACKUP_OFFSITE: `restic:rest:https://annals:${word}@backup/annals`,
      BACKUP_DIR: "/srv/the annals' backups #1",
    },
  }
  const loaded = loadSettings(env)
  const exported = exportSettings(loaded)
  t.same(exported.settings, { APP_ENV: 'production', PORT: 9090, BACKUP_DIR: env['BACKUP_DIR'] })
  t.same(exported.secrets.toSorted(), [...secrets, 'BACKUP_OFFSITE'].toSorted())

  const folder = t.testdir()
  const child = spawnAnnals(t, ['config', 'export'], env, folder)
  t.equal(await child.exit, 0)
  const text = child.stdout.join('\n')
  t.notMatch(text, /canary/)
  const filled = text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => env[name] as string)
  t.same(
    loadSettings(parseEnv(filled) as Record<string, string>).settings,
    loaded.settings,
    'filled in, it is the same',
  )
})
