// TLS to the database, against a server that speaks it, with certificates that are right or wrong in one way.

import { chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { serverUser } from '../../../src/db/embedded/server-user.ts'
import { runMigrations } from '../../../src/db/migrations/migrator.ts'
import { type Certificate, makeAuthority } from '../../support/certificates.ts'
import { runSql, startTestCluster, type Teardown, type TestCluster, testFolder } from '../../support/postgres.ts'
import { appendTo, ask, spawnAnnals, startTestService, until } from '../../support/service.ts'

const authority = makeAuthority()
const folder = testFolder(t)
const file = (name: string, text: string) => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
const ca = file('ca.pem', authority.cert)
const otherCa = file('other-ca.pem', makeAuthority('Another authority').cert)
const noCa = file('no-ca.pem', 'not a certificate')

/** A server that shows this certificate; without one it speaks no TLS. */
async function startServer(t: Teardown, certificate?: Certificate): Promise<TestCluster> {
  const settings = certificate && useCertificate(t, certificate)
  const cluster = await startTestCluster(t, { port: 0, isDurable: false, ...(settings && { settings }) })
  await runSql(cluster.adminUrl, `ALTER ROLE annals PASSWORD '${PASSWORD}'`)
  return cluster
}

function useCertificate(t: Teardown, { cert, key }: Certificate): Record<string, string> {
  const keys = testFolder(t)
  const user = serverUser(keys)
  const [certFile, keyFile] = [join(keys, 'server.crt'), join(keys, 'server.key')]
  writeFileSync(certFile, cert)
  // PostgreSQL takes a key only from its own user, and only if nobody else can read it.
  writeFileSync(keyFile, key, { mode: 0o600 })
  if (user !== undefined) chownSync(keyFile, user.uid, user.gid)
  return { ssl: 'on', ssl_cert_file: certFile, ssl_key_file: keyFile }
}

const PASSWORD = 'a-password'

/** The URL of a cluster by TCP, where its own leads through a socket. */
function withTls(url: string, mode: string, root?: string, host = 'localhost'): string {
  const changed = new URL(url)
  changed.searchParams.delete('host')
  changed.hostname = host
  changed.password = PASSWORD
  changed.searchParams.set('sslmode', mode)
  if (root !== undefined) changed.searchParams.set('sslrootcert', root)
  return changed.href
}

let named: TestCluster
t.before(async () => {
  named = await startServer(t, authority.issue(['localhost']))
  await runMigrations(named.url)
})

t.test('a server whose certificate and name are right is used, over TLS', async (t) => {
  for (const [title, url] of [
    ['by name', withTls(named.url, 'verify-full', ca, 'localhost')],
    ['by address', withTls((await startServer(t, authority.issue(['127.0.0.1']))).url, 'verify-full', ca, '127.0.0.1')],
  ] as const) {
    const service = await startTestService(t, { DATABASE_URL: url, MIGRATE_ON_START: 'on' })
    await service.ready
    t.equal((await appendTo(service.url, 's')).status, 201, title)
    t.match(await ask(`${service.url}/streams/s/events`), { body: { version: 1, events: [{ version: 1 }] } }, title)
    t.match(await ask(`${service.url}/health`), { body: { status: 'ok' } }, title)
    const [{ all }] = (await runSql(
      url,
      "SELECT bool_and(ssl) AS all FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'annals/%'",
    )) as [{ all: boolean }]
    t.equal(all, true, `${title}: every connection of it`)
  }
})

t.test('any other server is refused, and the answer says where to look', async (t) => {
  const expired = await startServer(t, authority.issue(['localhost'], { isExpired: true }))
  const plain = await startServer(t)
  for (const [title, url] of [
    ['an authority that is not ours', withTls(named.url, 'verify-full', otherCa, 'localhost')],
    ['an authority that nobody named', withTls(named.url, 'verify-full', undefined, 'localhost')],
    ['require, which is verify-full here', withTls(named.url, 'require', undefined, 'localhost')],
    ['another name', withTls(named.url, 'verify-full', ca, '127.0.0.1')],
    ['a certificate that has expired', withTls(expired.url, 'verify-full', ca, 'localhost')],
    ['a server without TLS', withTls(plain.url, 'verify-full', ca, 'localhost')],
  ] as const) {
    const service = await startTestService(t, { DATABASE_URL: url })
    await until(async () => (await ask(`${service.url}/health`)).body['database'] === 'unhealthy')
    const { body } = await appendTo(service.url, 's')
    t.match(
      body,
      { status: 503, code: 'database_misconfigured', outcome: 'not_applied', detail: /TLS.*`sslmode`.*`sslrootcert`/ },
      title,
    )
    await until(async () => {
      const { checks } = (await ask(`${service.url}/health`)).body as { checks: { database?: { error: string } } }
      return checks.database?.error === 'database_misconfigured'
    })
    t.equal((await ask(`${service.url}/livez`)).status, 200, `${title}: alive`)
    await service.close()
  }
})

t.test('a file of authorities that can not be read stops the start, by its name', async (t) => {
  for (const [root, words] of [
    [join(folder, 'nowhere.pem'), /^annals: DATABASE_URL: sslrootcert can't be read: ENOENT$/m],
    [noCa, /^annals: DATABASE_URL: sslrootcert is no certificate in PEM$/m],
  ] as const) {
    const child = spawnAnnals(t, ['serve'], { DATABASE_URL: withTls(named.url, 'verify-full', root), PORT: '0' })
    t.equal(await child.exit, 1)
    t.match(child.stderr.join('\n'), words)
  }
  const url = withTls(named.url, 'verify-full', otherCa, 'localhost')
  const child = spawnAnnals(t, ['migrate', 'status', '--database-url', url])
  t.equal(await child.exit, 4)
  t.match(child.stderr.join('\n'), /certificate.*sslrootcert/)
})
