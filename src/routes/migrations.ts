// Migrations for the operator: what is applied, and, where it is allowed, applying what is pending.

import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { MigrationStatus } from '../db/migrations/migration-ledger.ts'
import type { AppliedMigration } from '../db/migrations/migrator.ts'
import { AppError } from '../errors.ts'
import { problems } from './schemas.ts'

export interface MigrationRoutesOptions {
  /** Bound, with errors of the catalogue. */
  migrations: {
    status(): Promise<MigrationStatus>
    up(options: { dryRun: boolean }): Promise<AppliedMigration[]>
  }
  /** Whether `POST /migrations` may do anything. */
  isHttpEnabled(): boolean
}

const orNull = <T>(type: 'string' | 'integer' | 'object', description: string) =>
  Type.Unsafe<T | null>({ type: [type, 'null'], description })

const Migration = Type.Object({
  version: Type.Integer({ minimum: 1 }),
  name: Type.String({ description: 'File name without `.sql`.' }),
  description: orNull<string>('string', 'Null when the file is missing.'),
  breaking: orNull<string>('string', 'What users of the database have to know before it runs.'),
  state: Type.Unsafe<string>({
    type: 'string',
    enum: ['applied', 'pending', 'changed', 'missing'],
    description: '`changed`: edited after it was applied; `missing`: applied, and unknown to this version.',
  }),
  checksum: orNull<string>('string', 'SHA-256 of the file; null when it is missing.'),
  applied_checksum: orNull<string>('string', 'SHA-256 of what was applied.'),
  applied_at: orNull<string>('string', 'RFC 3339.'),
  duration_ms: orNull<number>('integer', 'How long it took.'),
  failure: orNull<object>('object', 'When a pending one was tried and failed: `at` and `error`.'),
})

const Status = Type.Object(
  {
    status: Type.Unsafe<string>({
      type: 'string',
      enum: ['up_to_date', 'pending', 'drift', 'newer'],
      description: '`drift`: one is changed or missing; `newer`: the database was migrated by a newer version.',
    }),
    current: Type.Integer({ description: 'Highest version that is applied; 0 for none.' }),
    latest: Type.Integer({ description: 'Highest version that this service knows.' }),
    migrations: Type.Array(Migration),
  },
  {
    examples: [
      {
        status: 'up_to_date',
        current: 1,
        latest: 1,
        migrations: [
          {
            version: 1,
            name: '0001_events',
            description: 'Create the table of events',
            breaking: null,
            state: 'applied',
            checksum: '25f3cfcbf2f7199ed7c53f0768cabc75d35ce512daf832dd03fb669a0a02a1a9',
            applied_checksum: '25f3cfcbf2f7199ed7c53f0768cabc75d35ce512daf832dd03fb669a0a02a1a9',
            applied_at: '2026-01-15T09:30:00.123456Z',
            duration_ms: 15,
            failure: null,
          },
        ],
      },
    ],
  },
)

const UpBody = Type.Object(
  {
    dry_run: Type.Optional(
      Type.Boolean({ default: false, description: 'Try what is pending and roll it back; it takes the same locks.' }),
    ),
  },
  { additionalProperties: false, examples: [{ dry_run: false }] },
)

const Applied = Type.Object(
  {
    applied: Type.Array(
      Type.Object({
        version: Type.Integer(),
        name: Type.String(),
        duration_ms: orNull<number>('integer', 'Null in a dry run for one that can not be tried.'),
      }),
      { description: 'What was applied, or would be; empty when nothing is pending.' },
    ),
    dry_run: Type.Boolean(),
  },
  { examples: [{ applied: [{ version: 5, name: '0005_append', duration_ms: 3 }], dry_run: false }] },
)

/** `GET /migrations` and `POST /migrations`. */
export function migrationRoutes(app: FastifyInstance, { migrations, isHttpEnabled }: MigrationRoutesOptions): void {
  app.get(
    '/migrations',
    {
      config: { scope: 'admin', isNeverCached: true },
      schema: {
        operationId: 'getMigrations',
        tags: ['operations'],
        summary: 'Which migrations are applied',
        response: { 200: Status, ...problems('timeout', 'database_unavailable', 'database_misconfigured') },
      },
    },
    async () => {
      const status = await migrations.status()
      // Who applied it, and from where, stays with the command.
      const entries = status.migrations.map(({ applied_by: _by, note: _note, ...entry }) => entry)
      return { ...status, migrations: entries }
    },
  )

  app.post(
    '/migrations',
    {
      config: { scope: 'admin', isNeverCached: true, isBodyOptional: true, takesTime: true },
      schema: {
        operationId: 'applyMigrations',
        tags: ['operations'],
        summary: 'Apply what is pending',
        description:
          'Needs `MIGRATIONS_OVER_HTTP=on`, which is the default with the embedded PostgreSQL. Answers when all is applied; large ones are better run by `annals migrate up`, which says what it is doing.',
        body: UpBody,
        response: {
          200: Applied,
          ...problems(
            'validation_failed',
            'migrations_disabled',
            'migrations_locked',
            'migration_drift',
            'busy',
            'database_unavailable',
            'database_misconfigured',
          ),
        },
      },
    },
    async (request) => {
      if (!isHttpEnabled()) throw new AppError('migrations_disabled', 'Migrations over HTTP are switched off here.')
      const dryRun = (request.body as { dry_run?: boolean } | null | undefined)?.dry_run ?? false
      return { applied: await migrations.up({ dryRun }), dry_run: dryRun }
    },
  )
}
