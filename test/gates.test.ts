// Each gate of `npm run check` is fed something bad, with the project's own tool and configuration, and has to refuse it.

import { execFile, execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { TapReport } from '../scripts/tap-report.ts'

const ROOT = resolve(import.meta.dirname, '..')
const CONFIGURATION = ['package.json', 'tsconfig.json', 'biome.json', 'oxlint.config.mjs', 'knip.json']

/** A folder with the project's configuration and packages, and these files; removed after the test. */
function folderWith(t: Test, files: Record<string, string>): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'annals-gates-')))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of CONFIGURATION) cpSync(join(ROOT, name), join(folder, name))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return folder
}

interface Ended {
  code: number
  stdout: string
  stderr: string
}

/** Runs a program of node_modules/.bin without tap's hooks: `env -u`, because tap adds NODE_OPTIONS to every child. */
const run = (cwd: string, name: string, ...args: string[]) =>
  runWith({ TEST_DATABASE_URL: 'postgres://not-used', TEST_PROGRAM: 'not-used' }, cwd, name, ...args)

const runWith = (variables: Record<string, string>, cwd: string, name: string, ...args: string[]): Promise<Ended> =>
  new Promise((done) => {
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], ...variables }
    const command = ['-u', 'NODE_OPTIONS', join(ROOT, 'node_modules/.bin', name), ...args]
    execFile('env', command, { cwd, env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })

t.test('the format gate refuses a file that Biome would write differently, and the check names the gate', async (t) => {
  const folder = folderWith(t, { 'src/good.ts': "export const name = 'annals'\n" })
  const check = () => run(folder, 'tsx', join(ROOT, 'scripts/check.ts'), 'format')
  t.match(await check(), { code: 0, stdout: /all gates passed \(format/ })
  writeFileSync(join(folder, 'src/bad.ts'), 'export const name = "annals";\n')
  const bad = await check()
  t.equal(bad.code, 1)
  t.match(bad.stdout + bad.stderr, /src\/bad\.ts format/)
  t.match(bad.stderr, 'check: the gate `format` failed; `npm run format:write` mends what it can.')
})

t.test('the check refuses the name of a gate that does not exist', async (t) => {
  t.match(await run(ROOT, 'tsx', 'scripts/check.ts', 'formt'), { code: 2, stderr: /There is no gate formt/ })
})

const REACHES_UP = {
  main: 'src/main.ts is where a process begins',
  index: 'src/index.ts is the door for other programs',
  'cli/serve': 'A command is the outermost layer',
  service: 'The service puts the parts together',
  backend: 'What is behind the HTTP service is handed to it',
  app: 'The app is handed its parts',
}

/** Importing file, imported module, and the beginning of our sentence that says why not. */
const WRONG_ARROWS: [string, string, string][] = [
  ...['db', 'http', 'routes', 'metrics', 'contract', 'follow', 'json'].flatMap((folder) =>
    Object.entries(REACHES_UP).map(([up, why]): [string, string, string] => [`${folder}/x`, `../${up}.ts`, why]),
  ),
  ...['config', 'errors'].flatMap((file) =>
    Object.entries(REACHES_UP).map(([up, why]): [string, string, string] => [file, `./${up}.ts`, why]),
  ),
  ['app', './service.ts', REACHES_UP.service],
  ['app', './cli/serve.ts', REACHES_UP['cli/serve']],
  ['app', './db/pool.ts', 'Routes and edges are handed bound functions'],
  ['service', './cli/serve.ts', REACHES_UP['cli/serve']],
  ['app', './backend.ts', REACHES_UP.backend],
  ['index', './cli/serve.ts', REACHES_UP['cli/serve']],
  ...['app', 'service', 'backend', 'http/edge', 'routes/events'].map((part): [string, string, string] => [
    'library',
    `./${part}.ts`,
    'A program that uses the library must not load',
  ]),
  ['library', 'fastify', 'A program that uses the library must not load'],
  ...['app', 'http/edge', 'routes/events'].map((part): [string, string, string] => [
    'backend',
    `./${part}.ts`,
    'What is behind the HTTP service knows nothing',
  ]),
  ['backend', './service.ts', REACHES_UP.service],
  ['backend', './cli/serve.ts', REACHES_UP['cli/serve']],
  ['db/x', '../follow/feed-tail.ts', 'The store is followed'],
  ...['http/edge', 'routes/events', 'contract/append-body', 'metrics/registry'].map(
    (part): [string, string, string] => ['follow/x', `../${part}.ts`, 'Following knows events'],
  ),
  ['follow/x', 'fastify', 'Following knows events'],
  ['follow/x', '../db/pool.ts', 'Routes and edges are handed bound functions'],
  ['contract/x', '../follow/feed-tail.ts', 'src/contract checks and shapes values'],
  ...['db/consumers', 'routes/consumers', 'contract/consumer-body'].map((part): [string, string, string] => [
    'consumers/x',
    `../${part}.ts`,
    'src/consumers is what a consumer has done',
  ]),
  ...['db/pool', 'cli/serve', 'contract/append-body', 'errors'].map((part): [string, string, string] => [
    'proof/x',
    `../${part}.ts`,
    'The proof judges a store from outside',
  ]),
  ['cli/import', '../main.ts', REACHES_UP.main],
  ['logger', './main.ts', REACHES_UP.main],
  ['routes/x', './events.ts', 'No route imports another'],
  ['routes/x', '../db/pool.ts', 'Routes and edges are handed bound functions'],
  ['routes/x', '../metrics/registry.ts', 'Metrics subscribe in src/app.ts'],
  ['http/x', '../routes/events.ts', 'An edge plugin serves every route'],
  ['http/x', '../db/pool.ts', 'Routes and edges are handed bound functions'],
  ['http/x', '../metrics/registry.ts', 'Metrics subscribe in src/app.ts'],
  ['metrics/x', '../routes/events.ts', 'A metric counts what it is told'],
  ['metrics/x', '../http/edge.ts', 'A metric counts what it is told'],
  ['metrics/x', '../db/pool.ts', 'A metric counts what it is told'],
  ['db/x', '../routes/events.ts', 'The store does not know HTTP'],
  ['db/deep/x', '../../routes/events.ts', 'The store does not know HTTP'],
  ['db/x', '../../src/routes/events.ts', 'The store does not know HTTP'],
  ['db/x', '../http/edge.ts', 'The store does not know HTTP'],
  ['db/x', 'fastify', 'The store does not know HTTP'],
  ['db/x', '@fastify/swagger', 'The store does not know HTTP'],
  ['db/x', '../metrics/registry.ts', 'The store reports to its observers'],
  ['db/x', '../contract/append-body.ts', 'The store is handed values'],
  ['db/connections/x', '../append/append-gate.ts', 'A connection carries statements'],
  ['db/connections/x', '../../routes/events.ts', 'The store does not know HTTP'],
  ['db/protocol/x', '../read/event-rows.ts', 'A connection carries statements'],
  ['db/embedded/x', '../connections/pool.ts', 'The PostgreSQL that comes along is a server'],
  ['db/append/x', '../consumers/consumers.ts', 'Consumers and snapshots stand on appends and reads'],
  ['db/read/x', '../snapshots/snapshots.ts', 'Consumers and snapshots stand on appends and reads'],
  ['contract/x', '../routes/events.ts', 'src/contract checks and shapes values'],
  ['contract/x', '../http/edge.ts', 'src/contract checks and shapes values'],
  ['contract/x', '../metrics/registry.ts', 'src/contract checks and shapes values'],
  ['contract/x', 'fastify', 'src/contract checks and shapes values'],
  ['contract/x', '../db/pool.ts', 'Routes and edges are handed bound functions'],
  ...['../errors.ts', '../contract/append-body.ts', '../main.ts', 'node:crypto', 'uuid'].map(
    (outside): [string, string, string] => ['client/x', outside, 'The client runs in browsers'],
  ),
  ...[
    'routes/events',
    'http/edge',
    'contract/append-body',
    'follow/feed-tail',
    'db/pool',
    'metrics/registry',
    'config',
  ].map((below): [string, string, string] => ['json/x', `../${below}.ts`, 'src/json knows text and nothing else']),
  ...[
    'routes/events',
    'http/edge',
    'contract/append-body',
    'follow/feed-tail',
    'db/pool',
    'metrics/registry',
    'json/scan',
  ].map((above): [string, string, string] => ['errors', `./${above}.ts`, 'Everyone imports config and errors']),
  ...[
    'main',
    'index',
    'app',
    'service',
    'logger',
    'cli/x',
    'routes/x',
    'http/x',
    'contract/x',
    'follow/x',
    'json/x',
    'metrics/x',
  ].flatMap((file): [string, string, string][] => [
    [file, 'pg', 'SQL lives in src/db and migrations/'],
    [file, 'kysely', 'SQL lives in src/db and migrations/'],
  ]),
  ...[
    'main',
    'app',
    'service',
    'logger',
    'cli/x',
    'routes/x',
    'http/x',
    'contract/x',
    'follow/x',
    'json/x',
    'db/x',
  ].map((file): [string, string, string] => [file, 'prom-client', 'Only src/metrics knows Prometheus']),
  ['http/x', 'node:process', 'Use the global `process`'],
]

/** Faults of one line each: file, line, and the beginning of what the linter says. */
const FAULTS: [string, string, string][] = [
  ['db/floating', 'const save = async () => 1\nsave()', 'Promises must be awaited'],
  [
    'db/misused',
    'const isOpen = async () => true\nif (isOpen()) throw new Error("open")',
    'Expected non-Promise value',
  ],
  [
    'db/misused-callback',
    '[1].forEach(async () => { await Promise.resolve() })',
    'Promise returned in function argument',
  ],
  ['db/thenable', 'await 1', 'Unexpected `await` of a non-Promise'],
  ['service', 'export const url = process.env["DATABASE_URL"]', "'process.env' is restricted"],
  ['http/environment', 'export const { env } = process', "'process.env' is restricted"],
  ['cli/exits', 'process.exit(1)', "'process.exit' is restricted"],
  ['cli/exit-code', 'process.exitCode = 1', "'process.exitCode' is restricted"],
  ['db/prints', 'console.log(1)', 'Unexpected console statement'],
  ['db/barrel', "export * from './pool.ts'", 'Barrel file detected'],
  ['db/lazy', "export const later = () => import('../routes/events.ts')", "'../routes/events.ts' import is restricted"],
]

/** What has to stay possible; each would be refused if a rule were drawn too wide. */
const ALLOWED: [string, string][] = [
  ['main', "import { serve } from './cli/serve.ts'\nserve()\nprocess.exitCode = Number(process.env['CODE'])"],
  [
    'cli/serve',
    "import { pool } from '../db/pool.ts'\nexport const serve = () => console.log(pool, process.env['HOME'])",
  ],
  [
    'routes/ok',
    "import { s } from './schemas.ts'\nimport type { Pool } from '../db/pool.ts'\nexport const p: Pool = s",
  ],
  [
    'db/ok',
    "import pg from 'pg'\nimport { sql } from 'kysely'\nimport { c } from '../config.ts'\nexport const x = [pg, sql, c]",
  ],
  [
    'db/append/ok',
    "import { pool } from '../pool.ts'\nimport { read } from '../read/read.ts'\nexport const x = [pool, read]",
  ],
  [
    'metrics/ok',
    "import { Registry } from 'prom-client'\nimport type { Pool } from '../db/pool.ts'\nexport const x: Pool = Registry",
  ],
]

t.test('the lint gate refuses every wrong arrow and every forgotten promise, and says why', async (t) => {
  const files: Record<string, string> = {
    'src/db/pool.ts': 'export const pool = 1\nexport type Pool = unknown\n',
    'src/db/read/read.ts': 'export const read = 1\n',
    'src/routes/schemas.ts': 'export const s = 1\n',
    'src/routes/events.ts': 'export const events = 1\n',
    'test/ok.test.ts': "import t from 'tap'\nt.test('tap waits for it', async (t) => t.ok(1))\n",
    'test/forgotten.test.ts':
      "import t from 'tap'\nt.test('no', async (t) => { t.rejects(Promise.reject(new Error())) })\n",
  }
  for (const [file, text] of [...ALLOWED, ...FAULTS]) files[`src/${file}.ts`] = `${text}\n`
  // One file has all its wrong arrows, a line each, after whatever it has already.
  for (const [from, to] of WRONG_ARROWS) {
    const path = `src/${from}.ts`
    files[path] = `${files[path] ?? ''}import '${to}'\n`
  }
  const folder = folderWith(t, files)
  const ended = await run(folder, 'oxlint', '-c', 'oxlint.config.mjs', '-f', 'json')
  t.match(ended, { code: 1, stderr: '' })
  const { diagnostics } = JSON.parse(ended.stdout) as {
    diagnostics: { filename: string; message: string; help?: string }[]
  }
  const said = (path: string) => diagnostics.filter(({ filename }) => filename === path)

  for (const [from, to, why] of WRONG_ARROWS) {
    const hit = said(`src/${from}.ts`).find(({ message }) => message.startsWith(`'${to}' import is restricted`))
    t.ok(hit?.help?.startsWith(why), `src/${from}.ts may not import ${to}: ${why}`)
  }
  for (const [file, , message] of FAULTS) {
    t.ok(
      said(`src/${file}.ts`).some((each) => each.message.startsWith(message)),
      `src/${file}.ts: ${message}`,
    )
  }
  t.ok(
    said('test/forgotten.test.ts').some(({ message }) => message.startsWith('Promises must be awaited')),
    'tests too',
  )
  const innocent = ['routes/ok', 'db/ok', 'db/append/ok', 'metrics/ok', 'cli/serve'].map((file) => `src/${file}.ts`)
  for (const path of [...innocent, 'test/ok.test.ts']) {
    t.strictSame(said(path), [], `${path} may do what it does`)
  }
})

t.test('the types gate refuses a type error in the sources and in the tests', async (t) => {
  const folder = folderWith(t, {
    'src/bad.ts': "export const port: number = '8080'\n",
    'test/bad.test.ts': 'export const first: string = [1][0]\n',
  })
  const ended = await run(folder, 'tsc')
  t.not(ended.code, 0)
  t.match(ended.stdout, /src\/bad\.ts\(1,14\): error TS2322/)
  t.match(ended.stdout, /test\/bad\.test\.ts\(1,14\): error TS2322/)
})

t.test('the dead-code gate refuses an unused export, file and package', async (t) => {
  const folder = folderWith(t, {
    'src/main.ts': "import { used } from './parts.ts'\nused()\n",
    'src/parts.ts': 'export const used = () => 1\nexport const neverUsed = () => 2\n',
    'src/orphan.ts': 'export const orphan = 1\n',
  })
  const ended = await run(folder, 'knip')
  t.equal(ended.code, 1)
  t.match(ended.stdout, /neverUsed .*src\/parts\.ts/)
  t.match(ended.stdout, /src\/orphan\.ts/)
  t.match(ended.stdout, /Unused dependencies[^]*kysely/)
  t.notMatch(ended.stdout, /\bused /)
})

t.test('the generated gate names each stale or missing file and what mends it, and writes nothing', async (t) => {
  const folder = folderWith(t, {})
  // Three that need neither a server nor the app; the gate itself compares all of them.
  const files = ['.env.example', 'docs/reference/settings.md', 'docs/reference/errors.md']
  const generate = (...options: string[]) => run(folder, 'tsx', join(ROOT, 'scripts/generate.ts'), ...options, ...files)
  t.match(await generate(), { code: 0, stdout: /wrote docs\/reference\/errors\.md/ })
  t.match(await generate('--check'), { code: 0 })
  writeFileSync(join(folder, 'docs/reference/errors.md'), 'nothing ever fails\n')
  rmSync(join(folder, '.env.example'))
  const ended = await generate('--check')
  t.equal(ended.code, 1)
  t.strictSame(ended.stderr.trim().split('\n').sort(), [
    '.env.example is not what the code says: run `npm run generate` and commit it.',
    'docs/reference/errors.md is not what the code says: run `npm run generate` and commit it.',
  ])
  t.equal(readFileSync(join(folder, 'docs/reference/errors.md'), 'utf8'), 'nothing ever fails\n')
  t.equal(existsSync(join(folder, '.env.example')), false)
})

const lastLine = (text: string) => text.trimEnd().split('\n').at(-1)

t.test('the test command counts what was run, and ends with the truth', async (t) => {
  const test = (title: string, body: string) => `import t from 'tap'\nt.test('${title}', async (t) => { ${body} })\n`
  const folder = folderWith(t, {
    'good.test.ts': test('a sum', 't.equal(1 + 1, 2); t.ok(true)'),
    'failing.test.ts': test('a wrong sum', 't.equal(1 + 1, 3); t.ok(true)'),
    'throwing.test.ts': "throw new Error('no test is reached')\n",
    'empty.test.ts': "import t from 'tap'\nt.pass\n",
    'skipped.test.ts': "import t from 'tap'\nt.test('later', { skip: 'not here' }, async () => {})\nt.ok(true)\n",
  })
  const wrapper = (...names: string[]) =>
    run(ROOT, 'tsx', 'scripts/test.ts', ...names.map((name) => join(folder, `${name}.test.ts`)))
  const green = await wrapper('good', 'skipped')
  t.match(green, { code: 0, stdout: /ok 1 - a sum/ })
  t.equal(lastLine(green.stdout), '3 passed, 0 failed, 1 skipped')

  const red = await wrapper('good', 'failing', 'throwing', 'empty')
  t.match(red, { code: 1, stdout: /not ok 1 - should be equal/ })
  t.equal(lastLine(red.stdout), '3 passed, 3 failed')

  const nothing = await wrapper('empty')
  t.match(nothing, { code: 1, stdout: /empty\.test\.ts has no test/ })
  t.equal(lastLine(nothing.stdout), '0 passed, 1 failed')

  const noServer = await runWith({ TEST_POSTGRES: '9' }, ROOT, 'tsx', 'scripts/test.ts', join(folder, 'good.test.ts'))
  t.match(noServer, { code: 1, stderr: /run npm ci --prefix test\/postgres-9/ })
  t.equal(lastLine(noServer.stdout), '0 passed, 1 failed')
})

t.test('a run that breaks off, counts nothing or exits badly is never green', async (t) => {
  t.match(new TapReport().close(0), { line: '0 passed, 1 failed', isGreen: false })
  const with_ = (totals: string) => {
    const report = new TapReport()
    report.read(totals)
    return report
  }
  t.match(with_('# { total: 0, pass: 0 }').close(0), { problem: 'No test was run.', isGreen: false })
  t.match(with_('# { total: 9, pass: 9 }').close(1), { line: '9 passed, 1 failed', isGreen: false })
  t.match(with_('# { total: 9, pass: 8, fail: 1 }').close(0), { line: '8 passed, 1 failed', isGreen: false })
  t.match(with_('# { total: 9, pass: 7, todo: 1, skip: 1 }').close(0), {
    line: '7 passed, 0 failed, 2 skipped',
    isGreen: true,
  })
})

t.test('the audit fails on a finding, and says loudly that a registry could not be asked', async (t) => {
  const vulnerabilities = { pg: { severity: 'high', range: '<9', fixAvailable: true } }
  const none = { metadata: { vulnerabilities: { total: 0 } } }
  const found = { metadata: { vulnerabilities: { total: 1 } }, vulnerabilities }
  for (const [answer, AUDIT, code, said] of [
    [JSON.stringify(none), '', 0, /^No known vulnerability/],
    [JSON.stringify(found), '', 1, /pg <9: high, a fix is available/],
    [JSON.stringify({ message: '405 Method Not Allowed' }), '', 3, /^NOT CHECKED .*405/],
    ['garbage', '', 3, /^NOT CHECKED .*no JSON/],
    [JSON.stringify({ message: '405 Method Not Allowed' }), 'required', 1, /^NOT CHECKED .*405/],
    [JSON.stringify(none), 'required', 0, /^No known vulnerability/],
  ] as const) {
    const folder = folderWith(t, { 'bin/npm': `#!/bin/sh\ncat <<'END'\n${answer}\nEND\n` })
    chmodSync(join(folder, 'bin/npm'), 0o755)
    const variables = { PATH: `${folder}/bin:${process.env['PATH']}`, AUDIT }
    const ended = await runWith(variables, folder, 'tsx', join(ROOT, 'scripts/audit.ts'))
    t.equal(ended.code, code, `${answer} ${AUDIT}`)
    t.match(ended.stdout + ended.stderr, said)
  }
})

t.test('what could not be checked in CI is counted in its closing line', async (t) => {
  // The functions of .ci/run, without its steps.
  const text = readFileSync(join(ROOT, '.ci/run'), 'utf8')
  const functions = text.slice(0, text.indexOf('\n# The programs that tests start'))
  const ci = (steps: string) =>
    new Promise<Ended>((done) => {
      execFile('bash', ['-c', `${functions}\n${steps}\nfinish`, '.ci/run'], { cwd: ROOT }, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      )
    })
  const tests = "tests 'some tests' echo '7 passed, 0 failed, 2 skipped'"
  t.match(await ci(tests), { code: 0, stdout: /\n7 passed, 0 failed, 2 skipped\n$/ })
  t.match(await ci(`maybe audit true\n${tests}`), { code: 0, stdout: /\n7 passed, 0 failed, 2 skipped\n$/ })
  t.match(await ci(`maybe audit sh -c 'exit 3'\n${tests}`), { code: 0, stdout: /\n7 passed, 0 failed, 3 skipped\n$/ })
  t.match(await ci(`maybe audit sh -c 'exit 1'\n${tests}`), { code: 1, stdout: /\n7 passed, 1 failed, 2 skipped\n$/ })
  t.match(await ci("tests 'some tests' echo '7 passed, 0 failed'"), {
    code: 0,
    stdout: /\n7 passed, 0 failed, 0 skipped\n$/,
  })
})

t.test('the build writes what the service is made of: every package that it runs on, and no other', async (t) => {
  const folder = folderWith(t, { 'dist/main.js': '' })
  cpSync(join(ROOT, 'package-lock.json'), join(folder, 'package-lock.json'))
  const { build } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts
  t.match(build, /&& node scripts\/write-sbom\.mjs$/)
  execFileSync('node', [join(ROOT, 'scripts/write-sbom.mjs')], { cwd: folder })
  const sbom = JSON.parse(readFileSync(join(folder, 'dist/sbom.cdx.json'), 'utf8'))
  t.match(sbom, { bomFormat: 'CycloneDX', metadata: { component: { name: 'annals', purl: /^pkg:npm\/annals@/ } } })
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; dev?: boolean }>
  }
  const expected = Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && !dev)
    .map(
      ([path, { version }]) => `${path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)}@${version}`,
    )
  const listed = (sbom.components as { name: string; version: string; hashes: object[]; licenses: object[] }[]).map(
    ({ name, version, hashes, licenses }) => {
      t.ok(hashes.length > 0 && licenses.length > 0, `${name} has a hash and a licence`)
      return `${name}@${version}`
    },
  )
  t.same([...new Set(listed)].sort(), [...new Set(expected)].sort())
  const refs = new Set([...sbom.components, sbom.metadata.component].map((each) => each['bom-ref']))
  const dependencies = sbom.dependencies as { ref: string; dependsOn: string[] }[]
  t.ok(dependencies.every(({ ref, dependsOn }) => [ref, ...dependsOn].every((each) => refs.has(each))))
})
