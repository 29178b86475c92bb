import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { SettingsError } from '../../../src/config.ts'
import {
  connectToRunningEmbedded,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from '../../../src/db/embedded/embedded-postgres.ts'
import { isProcessAlive, processStart } from '../../../src/db/embedded/folder-lock.ts'
import { folderInTheWay } from '../../../src/db/embedded/server-user.ts'
import { runSql, type Teardown, testBinaries, testFolder } from '../../support/postgres.ts'
import { until } from '../../support/service.ts'

const HOST = fileURLToPath(new URL('../../support/embedded-host.ts', import.meta.url))
const isRoot = process.getuid?.() === 0
const NOBODY = { name: 'nobody', uid: 65534, gid: 65534 }
const asOtherUser = isRoot
  ? folderInTheWay(HOST, NOBODY) === undefined
    ? false
    : 'nobody can not read this checkout'
  : 'only root can run a process as someone else'
const onlyRoot = isRoot ? false : 'only root is refused by PostgreSQL'

const said: string[] = []
const log = {
  info: (text: string) => said.push(text),
  warn: (text: string) => said.push(text),
  error: (text: string) => said.push(text),
}
const start = (dataDir: string, options: Partial<EmbeddedPostgresOptions> = {}) =>
  startEmbeddedPostgres({ dataDir, log, ...testBinaries(), ...options })

interface Host {
  child: ChildProcess
  answer: { url: string; pid: number; adopted: boolean; error?: string; message?: string }
  ended: Promise<void>
}

/** Runs a service of its own on the folder. */
async function startHost(
  t: Teardown,
  dataDir: string,
  options: object = {},
  user?: { uid: number; gid: number },
): Promise<Host> {
  const child = spawn(
    process.execPath,
    ['--import=tsx', HOST, JSON.stringify({ dataDir, ...testBinaries(), ...options })],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, HOME: tmpdir() }, ...user },
  )
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  // One that could not start may be gone just as it is told to stop.
  child.stdin?.on('error', () => {})
  t.teardown(() => {
    child.stdin?.end('stop\n')
    return ended
  })
  for await (const line of createInterface(child.stdout as NodeJS.ReadableStream)) {
    if (line.startsWith('{')) return { child, answer: JSON.parse(line), ended }
  }
  throw new Error('the host said nothing')
}

// One folder for the tests that only need some server; making it takes longest.
const shared = testFolder(t)

t.test('The first start makes a durable UTF-8 cluster with checksums and a role that is no superuser', async (t) => {
  const server = await start(shared)
  t.teardown(() => server.stop())
  const [row] = await runSql(
    server.url,
    `SELECT current_user AS role, usesuper AS is_super, current_setting('server_encoding') AS encoding,
       current_setting('data_checksums') AS checksums, current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit, current_setting('listen_addresses') AS addresses,
       'a' < 'B' AS is_linguistic, upper('é') AS upper, current_setting('server_version') AS version
     FROM pg_user WHERE usename = current_user`,
  )
  t.match(row, {
    role: 'annals',
    is_super: false,
    encoding: 'UTF8',
    checksums: 'on',
    fsync: 'on',
    synchronous_commit: 'on',
    addresses: '',
    is_linguistic: false,
  })
  t.match(row?.['version'], server.version)
  t.equal(server.adopted, false)
  t.equal(
    (await runSql(server.adminUrl, 'SELECT usesuper AS x FROM pg_user WHERE usename = current_user'))[0]?.['x'],
    true,
  )
  t.equal(statSync(join(shared, 'password')).mode & 0o777, 0o600, 'the password is for its owner')
  t.equal(statSync(join(shared, 'run')).mode & 0o777, 0o700, 'only the owner gets to the socket')
  t.match(server.psql, `psql -h ${join(shared, 'run')} -U annals annals`)
  await runSql(server.url, 'CREATE TABLE kept AS SELECT 1 AS x')
})

t.test('A later start finds the data', async (t) => {
  const server = await start(shared)
  t.teardown(() => server.stop())
  t.match(await runSql(server.url, 'SELECT x FROM kept'), [{ x: 1 }])
  t.same(connectToRunningEmbedded(shared), { url: server.url, adminUrl: server.adminUrl })
  await server.stop()
  await server.stop()
  t.equal(isProcessAlive(server.pid), false, 'no server outlives a stop')
  t.equal(existsSync(join(shared, 'annals.lock')), false)
  t.equal(connectToRunningEmbedded(shared), undefined)
})

t.test('A second service on the folder is told who has it', async (t) => {
  const server = await start(shared)
  t.teardown(() => server.stop())
  await t.rejects(start(shared), {
    name: 'SettingsError',
    message: new RegExp(`DATA_DIR ${shared} is in use by another Annals \\(process ${process.pid} on `),
  })
  const { answer } = await startHost(t, shared)
  t.equal(answer.error, 'SettingsError')
  t.match(answer.message, `process ${process.pid}`)
  t.match(await runSql(server.url, 'SELECT x FROM kept'), [{ x: 1 }], 'the first one goes on')
})

t.test('A service that was killed leaves a server that the next one takes over', async (t) => {
  const host = await startHost(t, shared)
  host.child.kill('SIGKILL')
  await host.ended
  t.equal(isProcessAlive(host.answer.pid), true, 'the server lives on')
  await runSql(host.answer.url, 'CREATE TABLE meanwhile AS SELECT 2 AS x')
  const server = await start(shared)
  t.teardown(() => server.stop())
  t.equal(server.adopted, true)
  t.equal(server.pid, host.answer.pid)
  t.match(await runSql(server.url, 'SELECT x FROM meanwhile'), [{ x: 2 }])
  await server.stop()
  t.equal(isProcessAlive(server.pid), false)
})

t.test('A service that ends without a stop takes its server with it', async (t) => {
  const host = await startHost(t, shared)
  host.child.stdin?.write('exit\n')
  await host.ended
  for (let i = 0; i < 1_000 && isProcessAlive(host.answer.pid); i++) await sleep(50)
  t.equal(isProcessAlive(host.answer.pid), false)
})

t.test('A server that is killed is started again, also one that was taken over', async (t) => {
  const host = await startHost(t, shared)
  host.child.kill('SIGKILL')
  await host.ended
  const server = await start(shared)
  t.teardown(() => server.stop())
  for (const round of ['taken over', 'own']) {
    const before = server.pid
    process.kill(before, 'SIGKILL')
    const killedAt = performance.now()
    const isBack = async () => (await runSql(server.url, 'SELECT x FROM kept').catch(() => [])).length === 1
    while (!(server.pid !== before && (await isBack())) && performance.now() - killedAt < 30_000) await sleep(20)
    t.not(server.pid, before, `${round}: another process`)
    t.ok(performance.now() - killedAt < 30_000, `${round}: back after ${Math.round(performance.now() - killedAt)} ms`)
  }
  t.ok(said.some((text) => text.includes('ended unexpectedly')))
})

t.test('A server that can not be started again for a while is when it can', async (t) => {
  const folder = testFolder(t)
  const server = await start(folder)
  t.teardown(() => server.stop())
  const away = `${folder}-away`
  t.teardown(() => rmSync(away, { recursive: true, force: true }))
  renameSync(folder, away)
  process.kill(server.pid, 'SIGKILL')
  await until(() => said.some((text) => text.includes("can't be started again: ENOENT")))
  renameSync(away, folder)
  await until(async () => (await runSql(server.url, 'SELECT 1').catch(() => [])).length === 1)
})

t.test('Of several services that find a dead lock one starts', async (t) => {
  writeFileSync(
    join(shared, 'annals.lock'),
    `{"pid":1,"started":"never","host":${JSON.stringify(hostname())},"since":"x"}\n`,
  )
  const hosts = await Promise.all(Array.from({ length: 3 }, () => startHost(t, shared)))
  const started = hosts.filter(({ answer }) => answer.error === undefined)
  t.equal(started.length, 1)
  for (const { answer } of hosts) if (answer.error) t.match(answer, { error: 'SettingsError', message: /is in use/ })
})

t.test('The lock of a live holder is respected, that of a dead one is not', async (t) => {
  const lock = join(shared, 'annals.lock')
  const write = (holder: object, secondsOld = 0) => {
    writeFileSync(
      lock,
      JSON.stringify({ pid: process.pid, started: processStart(process.pid), host: hostname(), since: 'x', ...holder }),
    )
    const at = Date.now() / 1000 - secondsOld
    utimesSync(lock, at, at)
  }
  write({})
  await t.rejects(start(shared), SettingsError, 'a process that runs')
  write({ host: 'elsewhere', pid: 999_999_999 })
  await t.rejects(start(shared), SettingsError, 'a process of another host that was heard of a moment ago')
  write({ host: 'elsewhere' }, 60)
  await (await start(shared)).stop()
  write({ started: '1' })
  await (await start(shared)).stop()
  writeFileSync(lock, '')
  utimesSync(lock, 0, 0)
  await (await start(shared)).stop()
  t.pass('a host that fell silent, a process id that was given out again, a torn lock')
})

t.test('Data of another major version, and folders that are none, are refused in words', async (t) => {
  const version = join(shared, 'postgres', 'PG_VERSION')
  const real = readFileSync(version, 'utf8')
  writeFileSync(version, '12\n')
  await t.rejects(start(shared), {
    name: 'SettingsError',
    message: /were made by PostgreSQL 12, and this Annals brings/,
  })
  writeFileSync(version, real)
  const other = testFolder(t)
  mkdirSync(join(other, 'postgres'))
  await t.rejects(start(other), { name: 'SettingsError', message: /is not a PostgreSQL data folder/ })
  t.equal(existsSync(join(other, 'annals.lock')), false, 'nothing stays locked')
  writeFileSync(join(other, 'file'), '')
  await t.rejects(start(join(other, 'file', 'data')), {
    name: 'SettingsError',
    message: /can't be made \(ENOTDIR\): set DATA_DIR .* or DATABASE_URL/,
  })
})

t.test('With a port it listens on loopback, with a password', async (t) => {
  const server = await start(shared, { port: 0, settings: { max_connections: '17' } })
  t.teardown(() => server.stop())
  const port = Number(/-p (\d+)/.exec(server.psql)?.[1])
  const password = readFileSync(join(shared, 'password'), 'utf8').trim()
  const [row] = await runSql(`postgres://annals:${password}@127.0.0.1:${port}/annals`, 'SHOW max_connections')
  t.same(row, { max_connections: '17' })
  await t.rejects(runSql(`postgres://annals:wrong@127.0.0.1:${port}/annals`, 'SELECT 1'), { code: '28P01' })
})

t.test('A folder whose path is too long for a socket gets a short one', async (t) => {
  const long = join(testFolder(t), 'x'.repeat(90))
  const server = await start(long)
  t.teardown(() => server.stop())
  t.match(await runSql(server.url, 'SELECT 1 AS x'), [{ x: 1 }])
  const sockets = decodeURIComponent(/host=([^&]+)/.exec(server.url)?.[1] ?? '')
  t.equal(sockets.startsWith(long), false)
  await server.stop()
  t.equal(existsSync(sockets), false, 'which goes with the server')
})

t.test('Programs without their links, or out of reach, are made to run', async (t) => {
  const native = testBinaries().binaries ?? (await packageFolder())
  const folder = testFolder(t)
  const bare = join(folder, 'package', 'native')
  cpSync(native, bare, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith('.a') })
  const links = JSON.parse(readFileSync(join(bare, 'pg-symlinks.json'), 'utf8')) as { target: string }[]
  const unlink = () => {
    for (const { target } of links) rmSync(join(dirname(bare), target), { force: true })
  }
  unlink()
  const server = await start(join(folder, 'data'), { binaries: bare })
  await server.stop()
  t.equal(lstatSync(join(dirname(bare), links[0]?.target as string)).isSymbolicLink(), true, 'links were made')

  if (asOtherUser) return
  unlink()
  const mine = testFolder(t)
  chmodSync(mine, 0o777)
  const host = await startHost(t, join(mine, 'data'), { binaries: bare }, NOBODY)
  t.equal(host.answer.message, undefined)
  t.ok(existsSync(join(mine, 'data', 'programs-own')), 'a folder that is not ours was copied instead')
  t.equal(lstatSync(join(dirname(bare), links[0]?.target as string), { throwIfNoEntry: false }), undefined)
})

t.test('An ordinary user runs it as himself', { skip: asOtherUser }, async (t) => {
  const folder = testFolder(t)
  chmodSync(folder, 0o777)
  const dataDir = join(folder, 'data')
  const host = await startHost(t, dataDir, {}, NOBODY)
  t.equal(host.answer.message, undefined)
  t.equal(statSync(join(dataDir, 'postgres')).uid, NOBODY.uid)
  t.match(await runSql(host.answer.url, 'SELECT 1 AS x'), [{ x: 1 }])
  host.child.stdin?.write('stop\n')
  await host.ended
  // Data that belong to a user stay his, also when root starts it the next time.
  const server = await start(dataDir)
  t.equal(statSync(`/proc/${server.pid}`).uid, NOBODY.uid)
  await server.stop()
  const back = await startHost(t, dataDir, {}, NOBODY)
  t.equal(back.answer.message, undefined)
})

t.test('Started by root it runs as someone else, who owns the data', { skip: onlyRoot }, async (t) => {
  const server = await start(shared)
  t.teardown(() => server.stop())
  const { uid } = statSync(join(shared, 'postgres'))
  t.not(uid, 0)
  t.equal(statSync(`/proc/${server.pid}`).uid, uid)
})

t.test(
  'A folder above the data that keeps the user out is named, or the data go elsewhere',
  { skip: onlyRoot },
  async (t) => {
    const closed = mkdtempSync(join(tmpdir(), 'annals-closed-'))
    t.teardown(() => rmSync(closed, { recursive: true, force: true }))
    const dataDir = join(closed, 'inner', 'data')
    await t.rejects(start(dataDir), {
      name: 'SettingsError',
      message: new RegExp(`may not enter ${closed}: allow it with chmod o\\+x ${closed}, or set DATA_DIR`),
    })
    const server = await start(dataDir, { mayMoveData: true })
    t.teardown(() => server.stop())
    const moved = realpathSync(join(dataDir, 'moved-to'))
    t.teardown(() => rmSync(moved, { recursive: true, force: true }))
    t.match(moved, /^\/var\/lib\/annals\/data-/)
    t.ok(said.some((text) => text.includes(`the data goes to ${moved}`)))
    await runSql(server.url, 'CREATE TABLE kept AS SELECT 3 AS x')
    await server.stop()
    const again = await start(dataDir, { mayMoveData: true })
    t.match(await runSql(again.url, 'SELECT x FROM kept'), [{ x: 3 }])
    t.match(connectToRunningEmbedded(dataDir), { url: again.url })
    await again.stop()
  },
)

t.test('Programs that the user can not reach are copied to the data', { skip: onlyRoot }, async (t) => {
  const closed = mkdtempSync(join(tmpdir(), 'annals-closed-'))
  t.teardown(() => rmSync(closed, { recursive: true, force: true }))
  const native = testBinaries().binaries ?? (await packageFolder())
  cpSync(native, join(closed, 'native'), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.endsWith('.a'),
  })
  const dataDir = join(testFolder(t), 'data')
  const server = await start(dataDir, { binaries: join(closed, 'native') })
  t.teardown(() => server.stop())
  t.match(readFileSync(`/proc/${server.pid}/cmdline`, 'utf8'), join(dataDir, 'programs-'))
})

async function packageFolder(): Promise<string> {
  const { postgres } = (await import(`@embedded-postgres/${process.platform}-${process.arch}`)) as { postgres: string }
  return dirname(dirname(postgres))
}
