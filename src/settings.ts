// Every setting of the service: its name, what it may be, and its default.
// `docs/reference/settings.md` and `.env.example` are generated from this schema; `src/config.ts` reads it.

import { type Static, Type } from '@sinclair/typebox'

const port = (description: string) => Type.Integer({ minimum: 0, maximum: 65_535, description })
const count = (description: string, minimum = 0, maximum = 1_000_000) => Type.Integer({ minimum, maximum, description })
const milliseconds = (description: string, minimum = 1) => Type.Integer({ minimum, maximum: 3_600_000, description })
const seconds = (description: string, minimum = 1) => Type.Integer({ minimum, maximum: 604_800, description })
const bytes = (description: string, maximum: number) => Type.Integer({ minimum: 1, maximum, description })
const text = (description: string) => Type.String({ minLength: 1, description })
const secret = (description: string) => Type.String({ minLength: 1, description, secret: true })
const choice = <T extends string[]>(values: [...T], description: string) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description },
  ) as unknown as ReturnType<typeof Type.Unsafe<T[number]>>
const onOff = (description: string) => choice(['on', 'off'], description)

const MIB = 1024 * 1024

/** One property per environment variable; the key is its name. Times carry their unit in the name. */
export const Settings = Type.Object({
  APP_ENV: choice(
    ['development', 'staging', 'production'],
    'Profile that the defaults are taken from. `RUST_ENV` and `NODE_ENV` are read when it is absent.',
  ),
  HOST: text('Address to listen on. Without tokens only a loopback address is accepted.'),
  PORT: port('Port of the HTTP API; 0 takes a free one.'),
  METRICS_PORT: Type.Optional(port('When set, `GET /metrics` is served on this port too, alone and without a token.')),
  METRICS_HOST: Type.Optional(text('Address of the metrics port; `HOST` when absent.')),
  METRICS_TLS: onOff('Serve the metrics port by HTTPS as well, with `TLS_CERT_FILE`; it is plain HTTP otherwise.'),
  DATABASE_URL: Type.Optional(
    secret('PostgreSQL to keep the events in. Absent: a PostgreSQL of its own is started below `DATA_DIR`.'),
  ),
  DATABASE_DIRECT_URL: Type.Optional(
    secret('The same database without a connection pooler, for migrations and wake-ups; `DATABASE_URL` when absent.'),
  ),
  DATABASE_SCHEMA: Type.String({
    pattern: '^[a-z_][a-z0-9_]{0,62}$',
    description: 'Schema that holds every object of the store; one schema is one store.',
  }),
  DATA_DIR: text('Folder of the embedded PostgreSQL, relative to the working folder.'),
  DATABASE_MAX_CONNECTIONS: count('Largest number of pooled connections.', 1, 1000),
  DATABASE_MIN_CONNECTIONS: count('Connections that are kept open and warm.', 0, 1000),
  DATABASE_ACQUIRE_TIMEOUT_MS: milliseconds(
    'Longest wait for a pooled connection; then the answer is 503 `pool_exhausted`.',
  ),
  DATABASE_CONNECT_TIMEOUT_MS: milliseconds('Longest time to open a connection.'),
  DATABASE_IDLE_TIMEOUT_SECONDS: seconds('An idle connection above the minimum is closed after this long.'),
  DATABASE_MAX_LIFETIME_SECONDS: seconds(
    'A connection is replaced after this long; each gets up to 10 % less, so that they do not expire together.',
  ),
  DATABASE_TEST_AFTER_IDLE_MS: milliseconds(
    'A connection that was idle for longer is tested before it is handed out.',
    0,
  ),
  DATABASE_LOCK_TIMEOUT_MS: milliseconds('Longest wait for a lock inside the database; then 503 `busy`.'),
  DATABASE_STATEMENT_TIMEOUT_MS: milliseconds('Longest run of one statement on the server; then 503 `timeout`.'),
  DATABASE_QUERY_TIMEOUT_MS: milliseconds('Longest wait for the answer of one query, measured in the service.'),
  REQUEST_TIMEOUT_MS: milliseconds('Longest time for one HTTP request that neither streams nor follows.'),
  REQUEST_HEADERS_TIMEOUT_MS: milliseconds('Longest time for the headers of a request to arrive; then 408.'),
  REQUEST_ARRIVAL_TIMEOUT_MS: milliseconds('Longest time for a whole request to arrive; then 408.'),
  MIGRATE_ON_START: Type.Optional(
    onOff('Apply pending migrations at start. Absent: on with the embedded PostgreSQL, off otherwise.'),
  ),
  MIGRATIONS_OVER_HTTP: Type.Optional(
    onOff('Allow `POST /migrations`. Absent: on with the embedded PostgreSQL, off otherwise.'),
  ),
  MIGRATION_LOCK_TIMEOUT_MS: milliseconds('Longest wait for another process that migrates.'),
  BACKUP_DIR: text(
    'Folder for backups, relative to the working folder; who asks for a backup over HTTP can not choose.',
  ),
  PG_BIN: Type.Optional(
    text('Folder of `pg_dump` and the like. Absent: they are looked for on `PATH` and where packages put them.'),
  ),
  BACKUP_PGBACKREST_DIR: Type.Optional(
    text(
      'Folder that pgBackRest keeps backups and the log in; an absolute path, which the owner of the server can reach.',
    ),
  ),
  BACKUP_OFFSITE: Type.Optional(
    text('Second place for backups, away from this machine: `s3://bucket/prefix`, `restic:REPOSITORY`, or a folder.'),
  ),
  BACKUP_POLICY_FILE: Type.Optional(
    text('JSON or YAML with schedules, retention, alerts and objectives; see docs/reference/backup-policy.md.'),
  ),
  SCHEDULES: onOff('Run the schedules of the policy in the service; of several services one does.'),
  DRILL_DIR: text('Folder of drills: their clusters while they run, and their reports.'),
  AWS_ENDPOINT_URL: Type.Optional(text('Address of an S3-compatible service that is not Amazon’s.')),
  AWS_REGION: text('Region of the bucket; other services mostly ignore it.'),
  AWS_ACCESS_KEY_ID: Type.Optional(secret('For S3. Absent: what the AWS SDK finds on the machine.')),
  AWS_SECRET_ACCESS_KEY: Type.Optional(secret('Belongs to `AWS_ACCESS_KEY_ID`.')),
  AWS_SESSION_TOKEN: Type.Optional(secret('Belongs to temporary keys.')),
  RESTIC_PASSWORD: Type.Optional(secret('Of the restic repository.')),
  RESTIC_PASSWORD_FILE: Type.Optional(text('File with it, instead.')),
  ANNALS_TOKENS: Type.Optional(
    secret(
      'Comma-separated `scope[+scope]:token`; scopes are `read`, `append`, `metrics`, `admin`; a token is plain (16 characters or more) or `sha256:<hex>`.',
    ),
  ),
  ANNALS_TOKENS_FILE: Type.Optional(text('File with one such entry a line; a change is taken up within 10 seconds.')),
  JWT_SECRET: Type.Optional(
    Type.String({
      minLength: 32,
      secret: true,
      description:
        'Secret of JSON Web Tokens that are accepted beside `ANNALS_TOKENS`: signed by HS256, with `exp`, and their scopes in `scope`.',
    }),
  ),
  JWT_EXPIRATION_HOURS: count('Longest lifetime of such a token.', 1, 24),
  RATE_LIMIT_PER_SECOND: Type.Optional(
    count(
      'Requests that one client may make a second, by its token, else by its address; then 429. Absent: no limit. 100 is a good start where clients are not trusted.',
      1,
      100_000,
    ),
  ),
  RATE_LIMIT_BURST: Type.Optional(count('Requests at once; twice `RATE_LIMIT_PER_SECOND` when absent.', 1, 1_000_000)),
  RATE_LIMIT_FALLBACK: choice(
    ['strict', 'local'],
    'How each instance counts while Redis is lost: 10 requests a minute and client, or the limit as it is.',
  ),
  REDIS_URL: Type.Optional(
    secret('Redis in which all instances count together; without it each counts by itself. Only for the rate limit.'),
  ),
  TRUST_PROXY: Type.Optional(
    text(
      'Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: addresses and CIDR blocks, comma-separated, or how many hops.',
    ),
  ),
  CORS_ALLOWED_ORIGINS: Type.Optional(
    text(
      'Comma-separated origins, such as `https://app.example.com`, whose pages may use the service from a browser; `*` for all, but not in production. Absent: none.',
    ),
  ),
  TLS_CERT_FILE: Type.Optional(
    text('Certificate (PEM, with its chain) to serve HTTPS with; a change is taken up within 10 seconds.'),
  ),
  TLS_KEY_FILE: Type.Optional(text('Private key (PEM) of that certificate.')),
  ENABLE_HSTS: Type.Optional(
    choice(
      ['on', 'off', 'true', 'false'],
      'Tell browsers to come over HTTPS only, in answers that went over it. Absent: on with `TLS_CERT_FILE`, off otherwise.',
    ),
  ),
  MAX_BODY_BYTES: bytes('Largest request body.', 64 * MIB),
  MAX_EVENT_BYTES: bytes('Largest data of one event.', 16 * MIB),
  MAX_METADATA_BYTES: bytes('Largest metadata of one event.', MIB),
  MAX_EVENTS_PER_REQUEST: count('Most events in one append request.', 1, 10_000),
  SNAPSHOT_EVERY: count('Events since the snapshot of a stream from which on it is listed as behind; advice only.', 1),
  APPEND_QUEUE_MAX_EVENTS: count('Most events that wait for the append gate; then 503 `overloaded`.', 1),
  APPEND_QUEUE_MAX_BYTES: bytes('Most bytes that wait for the append gate; then 503 `overloaded`.', 4096 * MIB),
  APPEND_QUEUE_TIMEOUT_MS: milliseconds('Longest wait for the append gate; then 503 `overloaded`.'),
  HEARTBEAT_SECONDS: seconds('Time between heartbeats of answers that go on.'),
  FOLLOW_BUFFER_BYTES: bytes('Most bytes that wait for one follower; then it is ended with `overflow`.', 64 * MIB),
  LOG_LEVEL: choice(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'Least severe line that is logged.',
  ),
  LOG_REQUESTS: choice(
    ['all', 'slow', 'errors', 'off'],
    'Which requests get a log line: every one, those slower than `SLOW_REQUEST_MS` and server errors, server errors only, or none.',
  ),
  SLOW_REQUEST_MS: milliseconds('From this duration on a request counts as slow.'),
  SHUTDOWN_DELAY_MS: milliseconds(
    'After SIGTERM readiness says no at once, and requests are still served for this long, so that load balancers can look away first.',
    0,
  ),
  SHUTDOWN_TIMEOUT_MS: milliseconds(
    'Longest time from SIGTERM to the end, `SHUTDOWN_DELAY_MS` included. Requests in flight get all of it but the last second, which is for the database; what is left of them is then cut.',
  ),
})

export type Settings = Static<typeof Settings>
export type SettingName = keyof Settings
export type Profile = Settings['APP_ENV']

const DEFAULTS: Partial<Settings> = {
  HOST: '127.0.0.1',
  PORT: 8080,
  METRICS_TLS: 'off',
  DATABASE_SCHEMA: 'public',
  DATA_DIR: '.annals',
  DATABASE_ACQUIRE_TIMEOUT_MS: 1_250,
  DATABASE_CONNECT_TIMEOUT_MS: 2_000,
  DATABASE_IDLE_TIMEOUT_SECONDS: 600,
  DATABASE_MAX_LIFETIME_SECONDS: 1_800,
  DATABASE_TEST_AFTER_IDLE_MS: 1_000,
  DATABASE_LOCK_TIMEOUT_MS: 1_000,
  DATABASE_STATEMENT_TIMEOUT_MS: 4_000,
  DATABASE_QUERY_TIMEOUT_MS: 5_000,
  REQUEST_TIMEOUT_MS: 7_000,
  REQUEST_HEADERS_TIMEOUT_MS: 15_000,
  REQUEST_ARRIVAL_TIMEOUT_MS: 60_000,
  MIGRATION_LOCK_TIMEOUT_MS: 30_000,
  BACKUP_DIR: 'backups',
  JWT_EXPIRATION_HOURS: 24,
  RATE_LIMIT_FALLBACK: 'strict',
  SCHEDULES: 'off',
  DRILL_DIR: 'drills',
  AWS_REGION: 'us-east-1',
  MAX_BODY_BYTES: 5 * MIB,
  MAX_EVENT_BYTES: MIB,
  MAX_METADATA_BYTES: 64 * 1024,
  MAX_EVENTS_PER_REQUEST: 1_000,
  SNAPSHOT_EVERY: 100,
  APPEND_QUEUE_MAX_EVENTS: 20_000,
  APPEND_QUEUE_MAX_BYTES: 64 * MIB,
  APPEND_QUEUE_TIMEOUT_MS: 2_000,
  HEARTBEAT_SECONDS: 15,
  FOLLOW_BUFFER_BYTES: 2 * MIB,
  LOG_LEVEL: 'info',
  LOG_REQUESTS: 'slow',
  SLOW_REQUEST_MS: 1_000,
  SHUTDOWN_DELAY_MS: 0,
  SHUTDOWN_TIMEOUT_MS: 9_000,
}

/** Defaults that differ by profile: connection numbers as in the production guide of Composable Rust (development 5, production 20/5). */
export const PROFILES: Record<Profile, Partial<Settings>> = {
  development: { DATABASE_MAX_CONNECTIONS: 5, DATABASE_MIN_CONNECTIONS: 1 },
  staging: { DATABASE_MAX_CONNECTIONS: 10, DATABASE_MIN_CONNECTIONS: 2 },
  production: { DATABASE_MAX_CONNECTIONS: 20, DATABASE_MIN_CONNECTIONS: 5 },
}

/** The default of one setting in one profile; undefined when there is none. */
export const defaultOf = (name: SettingName, profile: Profile): string | number | undefined =>
  PROFILES[profile][name] ?? DEFAULTS[name]
