// How many connections the server takes, and how many it has.

import type { AdminConnection } from './admin-connection.ts'
import type { ServerLimits } from './pool-sizing.ts'

// Who may not see other roles' sessions still sees their rows, without the type.
const STATEMENT = `SELECT current_setting('max_connections')::int AS max_connections,
  current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
  (SELECT count(*)::int FROM pg_stat_activity
    WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend') AS used`

/** Asks the server over the connection beside the pool. */
export async function readServerLimits(admin: AdminConnection): Promise<ServerLimits> {
  const { rows } = await admin.query<ServerLimits & Record<string, number>>(STATEMENT)
  const { max_connections, reserved, used } = rows[0] as ServerLimits
  return { max_connections, reserved, used }
}
