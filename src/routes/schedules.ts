// The schedules of backups for the operator.

import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { ScheduleReport } from '../backup/schedules/schedule-report.ts'
import { problems } from './schemas.ts'

export interface ScheduleRoutesOptions {
  /** Bound, with errors of the catalogue. */
  schedules: { report(): Promise<ScheduleReport> }
}

const orNull = (type: 'string' | 'object', description: string) =>
  Type.Unsafe<string | null>({ type: [type, 'null'], description })

const Last = Type.Object({
  due_at: Type.String({ description: 'The moment that it ran for, RFC 3339.' }),
  started_at: orNull('string', 'RFC 3339.'),
  finished_at: orNull('string', 'RFC 3339; null while it runs.'),
  state: Type.Unsafe<string>({ type: 'string', enum: ['running', 'succeeded', 'failed'] }),
  error: orNull('string', 'Why it failed.'),
})

const Report = Type.Object(
  {
    is_on: Type.Boolean({
      description: 'Whether this service runs them (`SCHEDULES`), when it is the one that leads.',
    }),
    timezone: Type.String({ description: 'That `cron` is meant in.' }),
    schedules: Type.Array(
      Type.Object({
        name: Type.String(),
        cron: Type.String(),
        task: Type.Unsafe<string>({ type: 'string', enum: ['create', 'prune'] }),
        type: orNull('string', 'Type of the backup.'),
        to: orNull('string', '`local` or `offsite`.'),
        incremental: Type.Boolean(),
        next_at: orNull('string', 'RFC 3339.'),
        last: Type.Union([Last, Type.Null()], { description: 'Null when it never ran.' }),
      }),
    ),
  },
  {
    examples: [
      {
        is_on: true,
        timezone: 'UTC',
        schedules: [
          {
            ...{ name: 'daily', cron: '0 2 * * *', task: 'create', type: 'archive', to: 'local', incremental: true },
            next_at: '2026-01-16T02:00:00.000Z',
            last: {
              ...{ due_at: '2026-01-15T02:00:00Z', started_at: '2026-01-15T02:00:00.003Z' },
              ...{ finished_at: '2026-01-15T02:00:04.120Z', state: 'succeeded', error: null },
            },
          },
        ],
      },
    ],
  },
)

/** `GET /schedules`. */
export function scheduleRoutes(app: FastifyInstance, { schedules }: ScheduleRoutesOptions): void {
  app.get(
    '/schedules',
    {
      config: { scope: 'admin', isNeverCached: true },
      schema: {
        operationId: 'getSchedules',
        tags: ['operations'],
        summary: 'What is backed up when, and how it went last',
        response: { 200: Report, ...problems('timeout', 'database_unavailable', 'database_misconfigured') },
      },
    },
    () => schedules.report(),
  )
}
