import { createServer, type Socket } from 'node:net'
import pg from 'pg'
import t from 'tap'
import {
  ConnectTimeoutError,
  DRIVER_MESSAGES,
  isConnectionFailure,
  isSurelyNotApplied,
  markNeverExecuted,
  QueryTimeoutError,
  translatePgError,
} from '../../src/db/pg-errors.ts'
import { AppError, type ErrorCode } from '../../src/errors.ts'
import { FaultProxy } from '../faults/fault-proxy.ts'
import { runSql, startTestCluster, type Teardown } from '../support/postgres.ts'

// The settings that time things out are for one statement each; these make them quick.
const cluster = await startTestCluster(t, { port: 0, isDurable: false, settings: { deadlock_timeout: '10ms' } })
const { url, adminUrl } = cluster
await runSql(adminUrl, 'CREATE ROLE stranger LOGIN')
await runSql(adminUrl, 'CREATE ROLE latecomer LOGIN CONNECTION LIMIT 0')
await runSql(url, 'CREATE TABLE own (x int PRIMARY KEY)')
await runSql(url, 'INSERT INTO own VALUES (1), (2)')

const caught = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    await work
  } catch (error) {
    return error
  }
  throw new Error('it did not fail')
}

async function connect(t: Teardown, config: pg.ClientConfig = { connectionString: url }): Promise<pg.Client> {
  const client = new pg.Client(config)
  client.on('error', () => {})
  t.teardown(() => client.end())
  await client.connect()
  return client
}

/** A TCP server that answers the first bytes of a client with these, or not at all. */
async function startListener(t: Teardown, answer?: string): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', () => answer !== undefined && socket.write(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `postgres://x@127.0.0.1:${(server.address() as { port: number }).port}/x`
}

t.test('Every SQLSTATE that matters becomes the right code, by a real error of a real server', async (t) => {
  const run = (text: string, as = url) => caught(runSql(as, text))
  const cases: [sqlState: string, code: ErrorCode, provoke: () => Promise<unknown>][] = [
    ['42P01', 'database_misconfigured', () => run('SELECT * FROM missing')],
    ['42883', 'database_misconfigured', () => run('SELECT missing()')],
    ['42703', 'database_misconfigured', () => run('SELECT missing FROM own')],
    ['42704', 'database_misconfigured', () => run('SELECT NULL::missing')],
    ['42501', 'database_misconfigured', () => run('SELECT * FROM own', url.replace('annals@', 'stranger@'))],
    ['3F000', 'database_misconfigured', () => run('CREATE TABLE missing.x ()')],
    ['26000', 'database_misconfigured', () => run('EXECUTE missing')],
    ['42P05', 'database_misconfigured', () => run('PREPARE a AS SELECT 1; PREPARE a AS SELECT 1')],
    [
      '55000',
      'database_misconfigured',
      () => run(`DO $$BEGIN RAISE 'needs more' USING ERRCODE = 'object_not_in_prerequisite_state'; END$$`),
    ],
    ['57014', 'timeout', () => run('SET statement_timeout = 20; SELECT pg_sleep(5)')],
    ['55P03', 'busy', () => whileLocked(() => run(`SET lock_timeout = 20; SELECT * FROM own`))],
    ['55006', 'busy', () => run('DROP DATABASE annals', adminUrl)],
    ['40001', 'busy', provokeSerializationFailure],
    ['40P01', 'busy', provokeDeadlock],
    ['25006', 'database_read_only', () => run('BEGIN READ ONLY; INSERT INTO own VALUES (9)')],
    ['53100', 'database_full', () => run(`COPY (SELECT 1) TO '/dev/full'`, adminUrl)],
    ['53300', 'database_unavailable', () => run('SELECT 1', url.replace('annals@', 'latecomer@'))],
    ['28000', 'database_unavailable', () => run('SELECT 1', url.replace('annals@', 'nobody@'))],
    [
      '28P01',
      'database_unavailable',
      () => run('SELECT 1', `postgres://annals:wrong@127.0.0.1:${new URL(url).port}/annals`),
    ],
    ['3D000', 'database_unavailable', () => run('SELECT 1', url.replace('/annals?', '/missing?'))],
    ['57P01', 'database_unavailable', () => run('SELECT pg_terminate_backend(pg_backend_pid())', adminUrl)],
    ['22012', 'internal', () => run('SELECT 1/0')],
    ['23505', 'internal', () => run('INSERT INTO own VALUES (1)')],
  ]
  for (const [sqlState, code, provoke] of cases) {
    const error = (await provoke()) as pg.DatabaseError
    t.equal(error.code, sqlState)
    const translated = translatePgError(error)
    t.equal(translated.code, code, `${sqlState} is ${code}`)
    t.equal(translated.cause, error, 'the log gets the cause')
    t.notMatch(translated.message, error.message, 'the caller does not')
    const isFatal = ['53300', '28000', '28P01', '3D000', '57P01'].includes(sqlState)
    t.equal(isConnectionFailure(error), isFatal, `${sqlState}: the connection is ${isFatal ? 'lost' : 'of use'}`)
    t.equal(isSurelyNotApplied(error), !isFatal, `${sqlState}: an answer means rolled back`)
  }

  async function whileLocked(work: () => Promise<unknown>) {
    const holder = await connect(t)
    await holder.query('BEGIN; LOCK TABLE own')
    const result = await work()
    await holder.query('ROLLBACK')
    return result
  }
  async function two(isolation: string) {
    const clients = [await connect(t), await connect(t)] as const
    for (const client of clients) await client.query(`BEGIN ISOLATION LEVEL ${isolation}`)
    return clients
  }
  async function provokeSerializationFailure() {
    const [a, b] = await two('REPEATABLE READ')
    await b.query('SELECT * FROM own')
    await a.query('UPDATE own SET x = x WHERE x = 1; COMMIT')
    return caught(b.query('UPDATE own SET x = x WHERE x = 1'))
  }
  async function provokeDeadlock() {
    const [a, b] = await two('READ COMMITTED')
    await a.query('UPDATE own SET x = x WHERE x = 1')
    await b.query('UPDATE own SET x = x WHERE x = 2')
    const cross = async (client: pg.Client, row: number) => {
      try {
        await client.query('UPDATE own SET x = x WHERE x = $1', [row])
      } finally {
        await client.query('ROLLBACK')
      }
    }
    const results = await Promise.allSettled([cross(a, 2), cross(b, 1)])
    return results.map((result) => result.status === 'rejected' && result.reason).find(Boolean)
  }
})

t.test('Every text that is compared is one that the driver says', async (t) => {
  const silent = await startListener(t)
  const provoked: Record<string, () => Promise<unknown>> = {
    'Connection terminated': async () => {
      const client = await connect(t)
      const sleeping = caught(client.query('SELECT pg_sleep(5)'))
      await client.end()
      return sleeping
    },
    'Connection terminated unexpectedly': async () => {
      const proxy = await FaultProxy.start(t, url)
      const client = await connect(t, { connectionString: proxy.url })
      const sleeping = caught(client.query('SELECT pg_sleep(5)'))
      proxy.close()
      return sleeping
    },
    'Connection terminated due to connection timeout': () => {
      const pool = new pg.Pool({ connectionString: silent, connectionTimeoutMillis: 30 })
      return caught(pool.connect())
    },
    'Client has encountered a connection error and is not queryable': async () => {
      const client = await connect(t)
      await caught(client.query('SELECT pg_terminate_backend(pg_backend_pid())'))
      await new Promise((resolve) => client.once('end', resolve))
      return caught(client.query('SELECT 1'))
    },
    'Client was closed and is not queryable': async () => {
      const client = await connect(t)
      await client.end()
      return caught(client.query('SELECT 1'))
    },
    'The server does not support SSL connections': () => caught(connect(t, { ...parts(silentTo('N')), ssl: true })),
    'There was an error establishing an SSL connection': () =>
      caught(connect(t, { ...parts(silentTo('X')), ssl: true })),
    'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string': () =>
      caught(connect(t, { host: '127.0.0.1', port: Number(new URL(url).port), user: 'annals', database: 'annals' })),
    'timeout expired': () => caught(connect(t, { connectionString: silent, connectionTimeoutMillis: 30 })),
    'timeout exceeded when trying to connect': async () => {
      const pool = new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 3_000 })
      const client = await pool.connect()
      const error = await caught(pool.connect())
      client.release()
      await pool.end()
      return error
    },
    'Cannot use a pool after calling end on the pool': async () => {
      const pool = new pg.Pool({ connectionString: url })
      await pool.end()
      return caught(pool.connect())
    },
    'Query read timeout': async () => {
      const client = await connect(t, { connectionString: url, query_timeout: 30 })
      return caught(client.query('SELECT pg_sleep(1)'))
    },
  }
  const answers = { N: await startListener(t, 'N'), X: await startListener(t, 'X') }
  const silentTo = (answer: 'N' | 'X') => answers[answer]
  t.same(Object.keys(provoked).sort(), Object.keys(DRIVER_MESSAGES).sort(), 'all of them are provoked')
  for (const [message, provoke] of Object.entries(provoked)) {
    const error = await provoke()
    t.equal((error as Error).message, message)
    const { code, isConnectionLost, isUnsent } = DRIVER_MESSAGES[message] as (typeof DRIVER_MESSAGES)[string]
    t.equal(translatePgError(error).code, code)
    t.equal(isConnectionFailure(error), isConnectionLost)
    t.equal(isSurelyNotApplied(error), isUnsent, `${message}: ${isUnsent ? 'not sent' : 'unknown'}`)
  }
})

t.test('What the network says means that the database is unavailable', async (t) => {
  const refused = await caught(runSql('postgres://x@127.0.0.1:1/x', 'SELECT 1'))
  const noSocket = await caught(runSql('postgres://x@localhost/x?host=%2Fmissing', 'SELECT 1'))
  const noHost = await caught(runSql('postgres://x@host.invalid/x', 'SELECT 1'))
  for (const error of [refused, noSocket, noHost]) {
    t.match(error, { code: /^(ECONNREFUSED|ENOENT|ENOTFOUND|EAI_AGAIN)$/ })
    t.equal(translatePgError(error).code, 'database_unavailable')
    t.equal(isSurelyNotApplied(error), true, 'nothing was sent')
    t.equal(isConnectionFailure(error), true)
  }
  const proxy = await FaultProxy.start(t, url)
  const client = await connect(t, { connectionString: proxy.url })
  const inFlight = caught(client.query('SELECT pg_sleep(5)'))
  await new Promise((resolve) => setTimeout(resolve, 50))
  proxy.cut()
  const reset = await inFlight
  t.match(reset, { code: 'ECONNRESET' })
  t.equal(translatePgError(reset).code, 'database_unavailable')
  t.equal(isSurelyNotApplied(reset), false, 'the statement was on its way')
})

t.test('Our own errors are translated too, and nothing else is guessed', (t) => {
  const busy = new AppError('busy', 'as it is')
  t.equal(translatePgError(busy), busy)
  t.equal(translatePgError(new ConnectTimeoutError('x')).code, 'database_unavailable')
  t.equal(translatePgError(new QueryTimeoutError('x')).code, 'timeout')
  t.equal(isSurelyNotApplied(new ConnectTimeoutError('x')), true)
  t.equal(isSurelyNotApplied(new QueryTimeoutError('x')), false)
  t.equal(isSurelyNotApplied(new AppError('pool_exhausted', 'x')), true)
  t.equal(isSurelyNotApplied(new AppError('timeout', 'x')), false)
  for (const odd of [new Error('odd'), 'text', null, undefined, 7, {}]) {
    t.equal(translatePgError(odd).code, 'internal')
    t.equal(isConnectionFailure(odd), false)
    t.equal(isSurelyNotApplied(odd), false)
  }
  const certificate = markNeverExecuted(Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' }))
  t.match(translatePgError(certificate), { code: 'database_misconfigured', message: /sslrootcert/ })
  const damage = Object.assign(new Error('x'), { code: 'ERR_SSL_BAD_RECORD_MAC' })
  t.equal(translatePgError(damage).code, 'internal', 'the TLS of an open connection is no setting')
  const unknown = markNeverExecuted(Object.assign(new Error('x'), { code: 'E_UNHEARD_OF' }))
  t.equal(translatePgError(unknown).code, 'database_unavailable', 'whatever keeps a connection from being opened')
  t.equal(isSurelyNotApplied(certificate), true)
  // In another language of the server an error can't be told from the end of the connection.
  t.equal(isSurelyNotApplied({ code: '23505', severity: 'FEHLER' }), false)
  t.end()
})

const parts = (target: string): pg.ClientConfig => {
  const { hostname, port } = new URL(target)
  return { host: hostname, port: Number(port), user: 'x', database: 'x' }
}
