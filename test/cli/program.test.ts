// Command lines that are wrong: what is said, with which exit code, and that nothing was begun.

import { type Command, CommanderError } from 'commander'
import t from 'tap'
import { buildProgram } from '../../src/cli/program.ts'
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
