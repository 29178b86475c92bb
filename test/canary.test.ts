// A canary in every secret setting: none of them may be seen anywhere, whatever goes wrong.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { runMigrations } from '../src/db/migrations/migrator.ts'
import { Settings } from '../src/settings.ts'
import { runSql, startTestCluster } from './support/postgres.ts'
import { type Child, spawnAnnals, spawnService, startTestService, until } from './support/service.ts'

/** Each is a word that can occur nowhere else; the password has what URLs encode. */
const CANARY = {
  password: 'canary-pw-5d1c%40%2F%23x',
  directPassword: 'canary-direct-5d1c',
  redisPassword: 'canary-redis-5d1c',
  admin: 'canary-token-admin-5d1c',
  listed: 'canary-token-listed-5d1c',
  jwt: 'canary-jwt-secret-of-thirty-two-characters-5d1c',
}
/** The first canary in `text`. */
const seenIn = (text: string): string | undefined =>
  /canary-(pw|direct|redis|token|jwt|aws|restic)[^\s"']*/.exec(text)?.[0]

const cluster = await startTestCluster(t, { port: 0, isDurable: false })
await runMigrations(cluster.url)
await runSql(cluster.adminUrl, `ALTER ROLE annals PASSWORD '${decodeURIComponent(CANARY.password)}'`)

/** The URL of the cluster by TCP, with this password. */
function tcp(password: string, host = '127.0.0.1'): string {
  const { port } = new URL(cluster.url)
  return `postgres://annals:${password}@${host}:${port}/annals`
}

const environment = (more: Record<string, string> = {}) => ({
  DATABASE_URL: tcp(CANARY.password),
  ANNALS_TOKENS: `admin:${CANARY.admin},read:${CANARY.listed}`,
  JWT_SECRET: CANARY.jwt,
  RATE_LIMIT_PER_SECOND: '100000',
  REDIS_URL: `redis://:${CANARY.redisPassword}@127.0.0.1:1`,
  AWS_ACCESS_KEY_ID: 'canary-aws-id-5d1c',
  AWS_SECRET_ACCESS_KEY: 'canary-aws-secret-5d1c',
  AWS_SESSION_TOKEN: 'canary-aws-session-5d1c',
  RESTIC_PASSWORD: 'canary-restic-5d1c',
  LOG_LEVEL: 'trace',
  LOG_REQUESTS: 'all',
  ...more,
})

const written = ({ stdout, stderr }: Child) => [...stdout, ...stderr].join('\n')

/** How the process looks to everybody else on the machine. */
const seenByOthers = ({ process: { pid } }: Child): string =>
  process.platform === 'linux'
    ? ['cmdline', 'comm', 'status'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'latin1')).join('\n')
    : ''

async function everyAnswer(url: string): Promise<string> {
  const texts: string[] = []
  const json = { 'content-type': 'application/json' }
  for (const token of [CANARY.admin, CANARY.listed, `${CANARY.listed}x`, undefined]) {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const paths = [
      '/health',
      '/health/ready',
      '/pool',
      '/pool/sizing',
      '/migrations',
      '/backups',
      '/integrity',
      '/metrics',
      '/events',
      '/openapi.json',
    ]
    for (const path of [...paths, '/streams/a/events?nonsense=1', '/nowhere', '/streams/%zz']) {
      const answer = await fetch(url + path, { headers })
      texts.push(JSON.stringify([...answer.headers]), await answer.text())
    }
    for (const body of ['{', '{"events":[{"type":"A"}]}', '{"events":[{"type":"A","data":1e999}]}']) {
      const answer = await fetch(`${url}/streams/a/events`, { method: 'POST', headers: { ...headers, ...json }, body })
      texts.push(JSON.stringify([...answer.headers]), await answer.text())
    }
  }
  return texts.join('\n')
}

const isSecret = (schema: object) => (schema as { secret?: boolean }).secret === true

t.test('the canaries are in every setting that is a secret', async (t) => {
  const secrets = Object.entries(Settings.properties).filter(([, schema]) => isSecret(schema))
  const given = Object.keys(environment({ DATABASE_DIRECT_URL: '' }))
  t.same(
    secrets.map(([name]) => name).filter((name) => !given.includes(name)),
    [],
    'a new secret has to be tested here too',
  )
})

t.test('no secret is seen of a running service: in answers, in the log, in the list of processes', async (t) => {
  const child = await spawnService(t, environment())
  await until(() => written(child).includes('Redis is lost'), 30_000, child)
  await until(async () => (await fetch(`${child.url}/health/ready`)).ok, 30_000, child)
  const answers = await everyAnswer(child.url)
  t.ok(answers.length > 10_000, 'there are answers to look at')
  t.equal(seenIn(answers), undefined, 'in answers')
  if (process.platform === 'linux') {
    t.match(seenByOthers(child), /^annals serve/)
    t.equal(seenIn(seenByOthers(child)), undefined, 'in the list of processes')
  }
  child.process.kill('SIGTERM')
  await child.exit
  t.ok(written(child).length > 5_000, 'there is a log to look at')
  t.equal(seenIn(written(child)), undefined, 'in the log')
})

for (const [title, more] of [
  ['the database refuses the password', { DATABASE_URL: tcp('canary-pw-wrong') }],
  ['the direct connection does', { DATABASE_DIRECT_URL: tcp(CANARY.directPassword) }],
  ['the database is not there', { DATABASE_URL: `postgres://annals:${CANARY.password}@127.0.0.1:1/annals` }],
  ['its host has no address', { DATABASE_URL: tcp(CANARY.password, 'nowhere.invalid') }],
  ['the URL is none', { DATABASE_URL: `postgres://annals:${CANARY.password}@127.0.0.1:port/annals` }],
  ['the password is not encoded', { DATABASE_URL: 'postgres://annals:canary-pw-5d1c@/#?x@127.0.0.1:1/annals' }],
] as [string, Record<string, string>][]) {
  t.test(`nor where ${title}`, async (t) => {
    let lines: string[] = []
    try {
      const service = await startTestService(t, environment(more))
      lines = service.lines
      await until(() => lines.some((line) => line.includes('does not answer')), 30_000)
      t.equal(seenIn(await everyAnswer(service.url)), undefined, 'in answers')
      await service.close()
    } catch (error) {
      lines.push(String((error as Error).message))
    }
    t.ok(lines.length > 0, 'it says what is wrong')
    t.equal(seenIn(lines.join('')), undefined, 'in the log')
  })
}

t.test('a bad secret stops the start without being shown', async (t) => {
  for (const [name, value] of [
    ['DATABASE_URL', 'mysql://annals:canary-pw-5d1c@db/annals'],
    ['DATABASE_DIRECT_URL', 'canary-direct-5d1c'],
    ['REDIS_URL', 'http://:canary-redis-5d1c@redis'],
    ['ANNALS_TOKENS', 'canary-token-5d1c'],
    ['JWT_SECRET', 'canary-jwt-5d1c'],
  ] as const) {
    const message = await startTestService(t, environment({ [name]: value })).then(
      () => 'it started',
      (error: Error) => `${error.name}: ${error.message}`,
    )
    t.match(message, new RegExp(`^SettingsError: ${name}`))
    t.equal(seenIn(message), undefined, name)
  }
})

t.test('commands show no secret that they were given, not even in the list of processes', async (t) => {
  const token = ['--token', CANARY.admin]
  const failing = [
    ['migrate', 'status', '--database-url', `postgres://annals:${CANARY.password}@127.0.0.1:1/annals`],
    ['migrate', 'up', '--database-url', tcp('canary-pw-wrong')],
    ['export', '--url', 'http://127.0.0.1:1', '--nonsense', ...token],
  ].map(async (args) => {
    const child = spawnAnnals(t, args, { LOG_LEVEL: 'trace' })
    t.not(await child.exit, 0)
    t.ok(child.stderr.length > 0)
    t.equal(seenIn(written(child)), undefined, args.join(' '))
  })
  await Promise.all(failing)
  if (process.platform !== 'linux') return
  // One that waits, so that there is time to look.
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const waiting = spawnAnnals(t, ['tail', '--url', `http://127.0.0.1:${port}`, ...token])
  await until(() => seenByOthers(waiting).startsWith('annals tail'), 30_000)
  t.equal(seenIn(seenByOthers(waiting)), undefined, 'in the list of processes')
})
