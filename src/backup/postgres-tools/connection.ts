// How a program of PostgreSQL is told where to connect. Whoever lists processes sees its arguments, so no password is there.

/** The address as an argument, and what goes into the environment. */
export interface ToolConnection {
  argument: string
  env: Record<string, string>
}

export function toolConnection(url: string): ToolConnection {
  const address = new URL(url)
  const password = address.searchParams.get('password') ?? decodeURIComponent(address.password)
  address.password = ''
  address.searchParams.delete('password')
  return { argument: `--dbname=${address.href}`, env: password === '' ? {} : { PGPASSWORD: password } }
}
