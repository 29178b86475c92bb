// Command lines that are wrong: what is said, with which exit code, and that nothing was begun.

import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Command, CommanderError } from 'commander'
import t from 'tap'
import { buildProgram } from '../../src/cli/program.ts'
import { makeAuthority } from '../support/certificates.ts'
import { testFolder } from '../support/postgres.ts'

const empty = testFolder(t)
// A developer's own .env must not decide whether a test passes.
const home = process.cwd()
process.chdir(empty)
t.teardown(() => process.chdir(home))

/** `annals <args>` in this process, which takes a tenth of the time. */
async function annals(...args: string[]): Promise<{ code: number; said: string }> {
  let said = ''
  const listen = (command: Command) => {
    command.configureOutput({
      writeOut() {},
      writeErr: (text) => {
        said += text
      },
    })
    command.commands.forEach(listen)
  }
  const program = await buildProgram(args[0])
  listen(program)
  try {
    await program.parseAsync(args, { from: 'user' })
    return { code: 0, said }
  } catch (error) {
    const { message, exitCode = 1 } = error as Error & { exitCode?: number }
    if (!(error instanceof CommanderError)) return { code: exitCode, said: said + message }
    return { code: exitCode === 0 ? 0 : 64, said }
  }
}

async function refuses(t: Tap, cases: [args: string[], said: RegExp][]): Promise<void> {
  for (const [args, said] of cases) t.match(await annals(...args), { code: 64, said }, args.join(' '))
}
type Tap = Pick<typeof t, 'match'>

t.test('a schema that no service could open is refused', (t) =>
  refuses(
    t,
    [
      'migrate up',
      'backup list',
      'restore latest',
      'restore kept',
      'restore new-epoch',
      'schedules run x',
      'verify',
    ].map((words) => [
      [...words.split(' '), '--schema', 'A B'],
      /argument 'A B' is invalid. It must be text that matches/,
    ]),
  ),
)

t.test('the URL of a database is looked at before anything connects, and the option is named', async (t) => {
  await refuses(t, [
    [['verify', '--database-url', 'nonsense'], /^--database-url must be a URL that starts with postgres:\/\//],
    [['migrate', 'up', '--database-url', 'mysql://u:secret@h/x'], /^--database-url must be a URL [^]*postgresql:\/\/$/],
    [['backup', 'list', '--database-url', ''], /^--database-url must/],
    [['backup', 'create', '--database-url', 'x'], /^--database-url must/],
    [['schedules', 'run', 'x', '--database-url', 'x'], /^--database-url must/],
    [['restore', 'latest', '--into', 'x'], /^--into must be a URL that starts with postgres:\/\//],
    [['restore', 'latest', '--into', 'postgres://h/x?sslrootcert=/nope'], /^--into: sslrootcert can't be read: ENOENT/],
  ])
  const env = { DATABASE_URL: 'postgres://h/x', DATABASE_DIRECT_URL: 'postgres://h/x?sslrootcert=/nope' }
  Object.assign(process.env, env)
  t.teardown(() => Object.keys(env).forEach((name) => delete process.env[name]))
  t.match(await annals('verify'), { code: 4, said: /^DATABASE_DIRECT_URL: sslrootcert/ })
  t.match(await annals('backup', 'list'), { code: 1, said: /^DATABASE_DIRECT_URL: sslrootcert/ })
})

t.test('an address that no service can have is refused, and so is a position that is none', (t) =>
  refuses(t, [
    [
      ['import', 'x', '--url', 'nonsense'],
      /argument 'nonsense' is invalid. It must be http:\/\/ or https:\/\/ and a host/,
    ],
    [['export', '--url', 'localhost:8080'], /It must be http:/],
    [['tail', '--url', 'ftp://x'], /It must be http:/],
    [['prove', '--url', 'http://'], /It must be http:/],
    [['export', '--after', 'x'], /It is a whole number from 0/],
  ]),
)

t.test('what is unknown is told with where help is', async (t) => {
  await refuses(t, [
    [['nope'], /^error: unknown command 'nope'\n\(annals help lists the commands\)\n$/],
    [['help', 'nope'], /^error: unknown command 'nope'\n\(annals help lists the commands\)\n$/],
    [
      ['migrate', 'help', 'nope'],
      /^error: unknown command 'nope'\n\(annals migrate --help tells more; below it are: status, /,
    ],
    [['migrate', 'nope'], /^error: unknown command 'nope'\n.*below it are: status, up, down, .*repair\)\n$/],
    [['serve', '--port', '1'], /^error: unknown option '--port'\n\(annals serve --help tells more\)\n$/],
    [['dr', 'assess', '--json'], /^error: unknown option '--json'\n\(annals dr assess --help tells more\)\n$/],
  ])
  for (const words of ['help', 'help migrate', 'migrate help up', 'migrate up --help']) {
    t.match(await annals(...words.split(' ')), { code: 0, said: '' }, words)
  }
})

t.test('a file or folder that can not be had is named, in words and before anybody is asked', async (t) => {
  const absent = join(empty, 'absent')
  const [url, database] = [
    ['--url', 'http://127.0.0.1:1'],
    ['--database-url', 'postgres://127.0.0.1:1/x'],
  ]
  const cases: [args: string[], code: number, said: string][] = [
    [['import', absent, ...url], 1, `${absent} can't be read: it is not there`],
    [['import', empty, ...url], 1, `${empty} can't be read: it is a folder`],
    [['prove', '--check', absent], 4, `${absent} can't be read: it is not there`],
    [['prove', '--check', empty], 4, `${empty} can't be read: it is a folder`],
    [['prove', '--history', join(absent, 'x'), ...url], 4, `the folder ${absent} can't be written to: it is not there`],
    [['export', join(absent, 'x'), ...url], 1, `the folder ${absent} can't be written to: it is not there`],
    [['export', empty, ...url], 1, `${empty} can't be written: it is a folder`],
    [['migrate', 'up', '--folder', absent, ...database], 4, `the folder ${absent} can't be read: it is not there`],
    [['migrate', 'new', '--folder', absent, 'x'], 4, `the folder ${absent} can't be read: it is not there`],
  ]
  for (const [args, code, said] of cases) t.same(await annals(...args), { code, said }, args.join(' '))
})

t.test('a certificate that nobody here vouches for is told as that', async (t) => {
  const server = createServer(makeAuthority().issue(['127.0.0.1']), (_, response) => response.end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const said = /the certificate of https:.* is not trusted \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\): set NODE_EXTRA_CA_CERTS/
  t.match(await annals('export', '--url', url), { code: 1, said })
  t.match(await annals('tail', '--url', url), { code: 1, said })
  t.match(await annals('prove', '--url', url), { code: 4, said })
})
