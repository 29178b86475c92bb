// The client as others get it: without Node.js, without the service, and as its guide shows it.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { runMigrations } from '../../src/db/migrations/migrator.ts'
import { startTestApp } from '../support/app.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { startTestService } from '../support/service.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const CLIENT = join(ROOT, 'src/client')
const GUIDE = join(ROOT, 'docs/how-to/use-the-client.md')

/** What a browser knows, and nothing of Node.js. */
const BROWSER: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  lib: ['lib.es2023.d.ts', 'lib.es2024.string.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
  types: [],
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  allowImportingTsExtensions: true,
  noEmit: true,
}

/** Complaints of the compiler, and the files of ours that it went to. */
function compile(files: string[], options: ts.CompilerOptions) {
  const program = ts.createProgram(files, options)
  return {
    errors: ts
      .getPreEmitDiagnostics(program)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
    files: program
      .getSourceFiles()
      .map(({ fileName }) => resolve(fileName))
      .filter((name) => !name.includes('/node_modules/')),
  }
}

t.test('every file of the client compiles with what a browser knows, and needs no other file', (t) => {
  const files = readdirSync(CLIENT).map((name) => join(CLIENT, name))
  t.ok(files.length > 5)
  const { errors, files: needed } = compile(files, BROWSER)
  t.same(errors, [])
  t.same(needed.toSorted(), files.toSorted())
  t.end()
})

t.test('what only Node.js knows would be found', (t) => {
  const folder = t.testdir({
    'buffer.ts': `export const bytes = Buffer.from('x')\n`,
    'import.ts': `import { readFileSync } from 'node:fs'\nexport const text = readFileSync('x')\n`,
  })
  const { errors } = compile([join(folder, 'buffer.ts'), join(folder, 'import.ts')], BROWSER)
  t.match(errors, [/Buffer/, /node:fs/])
  t.end()
})

t.test('the package gives the client as annals/client, with types that a browser project can use', async (t) => {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, { types: string; default: string }>
  }
  const folder = t.testdir({})
  const program = ts.createProgram([join(CLIENT, 'client.ts')], {
    ...BROWSER,
    noEmit: false,
    declaration: true,
    rootDir: join(ROOT, 'src'),
    outDir: join(folder, 'dist'),
    rewriteRelativeImportExtensions: true,
  })
  t.notOk(program.emit().emitSkipped)
  const door = exports['./client']
  t.equal(door?.types, './dist/client/client.d.ts')
  writeFileSync(
    join(folder, 'page.ts'),
    `import { createClient, type StoredEvent } from '${door?.default}'
     const client = createClient({ url: location.href, fetch: window.fetch.bind(window) })
     export async function* types(): AsyncGenerator<string> {
       for await (const event of client.follow({ signal: new AbortController().signal })) yield (event satisfies StoredEvent).type
     }\n`,
  )
  t.same(compile([join(folder, 'page.ts')], BROWSER).errors, [])
  const { createClient } = (await import(
    join(folder, door?.default ?? '')
  )) as typeof import('../../src/client/client.ts')
  const app = await startTestApp()
  t.teardown(app.close)
  t.match(await createClient({ url: app.url }).append('s', [{ type: 'A' }]), { version: 1 })
})

/** The first `count` blocks of TypeScript of a page. */
const blocksOf = (markdown: string) => [...markdown.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code as string)

t.test('the examples of the guide and of the README run as they stand', async (t) => {
  const database = await createTestDatabase(t)
  await runMigrations(database.url)
  const app = await startTestService(t, { DATABASE_URL: database.url, LOG_LEVEL: 'silent' })
  await app.ready
  const [whole, ...rest] = blocksOf(readFileSync(GUIDE, 'utf8'))
  const readme = blocksOf(readFileSync(join(ROOT, 'README.md'), 'utf8')).filter((code) =>
    code.includes('annals/client'),
  )
  t.equal(rest.length, 4)
  t.equal(readme.length, 1)
  const client = JSON.stringify(join(CLIENT, 'client.ts'))
  const ours = (code: string) =>
    code.replace(/'annals\/client'/g, client).replace(/'http:\/\/127\.0\.0\.1:8080'/g, JSON.stringify(app.url))
  const around = `import { createClient } from 'annals/client'
    const url = 'http://127.0.0.1:8080'
    const annals = createClient({ url })
    const events = [{ type: 'OrderChanged' }]
    const apply = (state: unknown, event: { type: string }) => ({ ...(state as object), [event.type]: true })\n`
  const folder = t.testdir({
    'readme.mts': ours(readme[0] as string),
    'whole.mts': ours(whole as string),
    ...Object.fromEntries(rest.map((code, i) => [`part-${i}.mts`, ours(`${around}{\n${code}}\nexport {}`)])),
  })
  const said: string[] = []
  const { log } = console
  console.log = (...words: unknown[]) => void said.push(words.join(' '))
  t.teardown(() => {
    console.log = log
  })
  await import(join(folder, 'whole.mts'))
  t.match(said, ['order-1 is at version 1, the store at position 1', 'it is at 1 already', /^OrderPlaced/, '1 order-1'])
  for (let i = 0; i < rest.length; i++) await import(join(folder, `part-${i}.mts`))
  t.match(said.slice(-2), [/^seen up to \d+$/, 'mail for order-1, attempt 1'])
  await import(join(folder, 'readme.mts'))
  console.log = log
  const stored = await (await fetch(`${app.url}/streams/order-1/snapshot`)).json()
  t.match(stored, { version: 2, state: { OrderPlaced: true, OrderChanged: true } })
})
