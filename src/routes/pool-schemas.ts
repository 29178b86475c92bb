// What the pool's routes take and give.

import { Type } from '@sinclair/typebox'

const count = (description: string) => Type.Integer({ minimum: 0, description })
const orNull = <T>(type: 'number' | 'integer', description: string) =>
  Type.Unsafe<T | null>({ type: [type, 'null'], description })
const milliseconds = (description: string) => orNull<number>('number', description)

const Server = Type.Object({
  max_connections: count('What the server takes in all.'),
  reserved: count('Of these kept for superusers.'),
  used: count('Open at the moment, by anybody.'),
})

const PoolSettings = Type.Object({
  acquire_timeout_ms: Type.Integer(),
  connect_timeout_ms: Type.Integer(),
  idle_timeout_ms: Type.Integer(),
  max_lifetime_ms: Type.Integer(),
  test_after_idle_ms: Type.Integer(),
  query_timeout_ms: Type.Integer(),
  session: Type.Record(Type.String(), Type.String(), { description: 'Server settings of each connection.' }),
  application_name: Type.String({ description: 'As in `pg_stat_activity`.' }),
})

export const PoolSchema = Type.Object(
  {
    size: count('Open connections.'),
    idle: count('Of these free.'),
    used: count('Of these handed out.'),
    waiting: count('Callers that wait for one.'),
    oldest_wait_ms: orNull<number>('integer', 'How long the oldest of them has waited.'),
    max: count('`DATABASE_MAX_CONNECTIONS`'),
    min: count('`DATABASE_MIN_CONNECTIONS`'),
    acquire: Type.Object(
      {
        count: count('Since the start.'),
        p50_ms: milliseconds('Half of the callers waited no longer.'),
        p95_ms: milliseconds('95 % of the callers waited no longer.'),
        p99_ms: milliseconds('99 % of the callers waited no longer.'),
        max_ms: milliseconds('The longest wait.'),
      },
      { description: 'Waits of the last one to two minutes, to 6 %; null when there was none.' },
    ),
    timeouts: Type.Object({
      queue: count('No connection came free within `DATABASE_ACQUIRE_TIMEOUT_MS`.'),
      connect: count('None could be opened within `DATABASE_CONNECT_TIMEOUT_MS`.'),
    }),
    errors: count('Connections that could not be opened, or died.'),
    settings: PoolSettings,
    server: Type.Union([Server, Type.Null()], { description: 'Null while the database can not be asked.' }),
  },
  {
    examples: [
      {
        size: 5,
        idle: 4,
        used: 1,
        waiting: 0,
        oldest_wait_ms: null,
        max: 20,
        min: 5,
        acquire: { count: 18201, p50_ms: 0.011, p95_ms: 0.4, p99_ms: 2.431, max_ms: 8.2 },
        timeouts: { queue: 0, connect: 0 },
        errors: 0,
        settings: {
          acquire_timeout_ms: 2000,
          connect_timeout_ms: 2000,
          idle_timeout_ms: 600000,
          max_lifetime_ms: 1800000,
          test_after_idle_ms: 1000,
          query_timeout_ms: 5000,
          session: { statement_timeout: '4000', lock_timeout: '2000' },
          application_name: 'annals/0.1.0 5f2c9a1e',
        },
        server: { max_connections: 200, reserved: 3, used: 9 },
      },
    ],
  },
)

const whole = (description: string, minimum: number, value?: number) =>
  Type.Integer({ minimum, maximum: 100_000, description, ...(value === undefined ? {} : { default: value }) })
const decimal = (description: string, minimum: number) =>
  Type.Optional(Type.Number({ minimum, maximum: 1_000_000_000, description }))

export const SizingParameters = Type.Object({
  requests_per_second: decimal('At the peak, of one replica. Absent: what the pool measured in the last minutes.', 0),
  hold_ms: decimal('How long a request holds a connection. Absent: what the pool measured.', 0),
  request_ms: decimal('How long a request takes in all. Absent: what the service measured.', 0.001),
  buffer: whole('Added to the result.', 0, 5),
  cores: Type.Optional(whole('Of the database server. Absent: those of this machine.', 1)),
  spindles: whole('Disks of the database server that work at a time.', 0, 1),
  replicas: whole('Instances of the service on this database.', 1, 1),
})

const Formula = Type.Object({
  name: Type.Union([Type.Literal('seed'), Type.Literal('littles_law'), Type.Literal('cores_and_spindles')]),
  formula: Type.String({ description: 'With the values put in.' }),
  connections: orNull<number>('integer', 'Null when a value is neither given nor measured yet.'),
  note: Type.String(),
})

const Measured = Type.Object(
  {
    requests_per_second: Type.Number(),
    hold_ms: milliseconds(''),
    request_ms: milliseconds(''),
    cores: Type.Integer(),
  },
  { description: 'What stands in for parameters that are absent.' },
)

export const SizingSchema = Type.Object(
  {
    formulas: Type.Array(Formula),
    band: Type.Object({
      name: Type.String(),
      applies_to: Type.String(),
      min: Type.Integer(),
      max: Type.Integer(),
    }),
    recommended: count('Maximum for the pool of one replica.'),
    server_limit: Type.Union([
      Type.Object({
        max_connections: Type.Integer(),
        reserve: Type.Integer({ description: 'Left to background tasks, administration, health checks, superusers.' }),
        needed: Type.Integer({ description: 'replicas × DATABASE_MAX_CONNECTIONS + reserve' }),
        fits: Type.Boolean(),
        largest_max: Type.Integer({ description: 'Largest maximum with which all replicas fit.' }),
        note: Type.String(),
      }),
      Type.Null(),
    ]),
    measured: Measured,
  },
  { description: 'How many connections, by three formulas, and whether the server has room for them.' },
)
