// Where the PostgreSQL that comes along listens, and how one connects to it.

import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DATABASE, type Places, SUPERUSER } from './embedded-folder.ts'
import { findPostmaster, type PidFile } from './postmaster.ts'
import type { ServerUser } from './server-user.ts'

const SOCKET_PORT = 5432
// sun_path holds 108 bytes on Linux and 104 elsewhere, the closing NUL included.
const LONGEST_SOCKET_PATH = process.platform === 'linux' ? 107 : 103
const hasSockets = process.platform !== 'win32'

export interface Listen {
  port: number
  address: string
  sockets: string
  isTemporary: boolean
}

/** Where it is to listen: on a socket, whose folder is made, and with `wantedPort` on TCP, where 0 is a free one. */
export async function listenOn(
  wantedPort: number | undefined,
  places: Places,
  user: ServerUser | undefined,
): Promise<Listen> {
  const wantsTcp = wantedPort !== undefined || !hasSockets
  const port = wantedPort || (wantsTcp ? await freePort() : SOCKET_PORT)
  const address = wantsTcp ? '127.0.0.1' : ''
  if (!hasSockets) return { port, address, sockets: '', isTemporary: false }
  const isTooLong = Buffer.byteLength(join(places.sockets, `.s.PGSQL.${port}`)) > LONGEST_SOCKET_PATH
  const running = findPostmaster(places.data)?.file.socketFolder
  const sockets = isTooLong ? running || mkdtempSync(join(tmpdir(), 'annals-')) : places.sockets
  // Whoever can open the socket is let in, so nobody else may enter its folder.
  mkdirSync(sockets, { recursive: true, mode: 0o700 })
  chmodSync(sockets, 0o700)
  if (user !== undefined) chownSync(sockets, user.uid, user.gid)
  return { port, address, sockets, isTemporary: isTooLong }
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

/** For the owner of the database, and for the superuser. */
export function urls(file: PidFile, places: Places): { url: string; adminUrl: string } {
  const of = (role: string, database: string): string => {
    if (file.socketFolder) {
      return `postgres://${role}@localhost:${file.port}/${database}?host=${encodeURIComponent(file.socketFolder)}`
    }
    const password = readFileSync(places.passwordFile, 'utf8').trim()
    return `postgres://${role}:${password}@127.0.0.1:${file.port}/${database}`
  }
  return { url: of(DATABASE, DATABASE), adminUrl: of(SUPERUSER, DATABASE) }
}

/** How a person opens a console. */
export function psqlCommand(file: PidFile, places: Places): string {
  if (file.socketFolder) {
    const port = file.port === SOCKET_PORT ? '' : ` -p ${file.port}`
    return `psql -h ${shellQuote(file.socketFolder)}${port} -U ${DATABASE} ${DATABASE}`
  }
  return `psql -h 127.0.0.1 -p ${file.port} -U ${DATABASE} ${DATABASE}  (password: ${places.passwordFile})`
}

const shellQuote = (text: string) => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
