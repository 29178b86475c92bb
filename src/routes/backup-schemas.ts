// What the routes for backups and jobs take and give.

import { Type } from '@sinclair/typebox'

const count = (description: string) => Type.Integer({ minimum: 0, description })
const orNull = <T>(type: 'string' | 'integer' | 'object', description: string) =>
  Type.Unsafe<T | null>({ type: [type, 'null'], description })
const oneOf = (values: string[], description: string) =>
  Type.Unsafe<string>({ type: 'string', enum: values, description })

export const BACKUP_ID = '^backup_[0-9]{8}_[0-9]{6}$'
export const JOB_ID = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'

export const BackupParams = Type.Object({
  id: Type.String({ description: '`backup_YYYYMMDD_HHMMSS`, in UTC.' }),
})
export const JobParams = Type.Object({ id: Type.String({ description: 'A UUID.' }) })

const entry = {
  id: 'backup_20260115_020000',
  type: 'archive',
  state: 'complete',
  destination: '/var/backups/annals',
  started_at: '2026-01-15T02:00:00.000Z',
  finished_at: '2026-01-15T02:00:04.120Z',
  bytes: 58_476_023,
  base: null,
  events: 1_000_000,
  head: 1_000_000,
  verified: { level: 3, at: '2026-01-15T02:01:00.000000Z' },
  tested_at: '2026-01-12T03:00:00.000000Z',
  error: null,
}

const Backup = Type.Object({
  id: Type.String(),
  type: Type.String({ description: 'As `GET /backups/types` lists them.' }),
  state: oneOf(
    ['running', 'complete', 'failed', 'removed', 'missing'],
    '`missing`: written down as complete, and its files are not there.',
  ),
  destination: Type.String({ description: 'Where it is.' }),
  started_at: Type.String({ description: 'RFC 3339.' }),
  finished_at: orNull<string>('string', 'RFC 3339.'),
  bytes: orNull<number>('integer', 'Of all files.'),
  base: orNull<string>('string', 'The backup that it adds to.'),
  events: orNull<number>('integer', 'In it and in those that it adds to.'),
  head: orNull<number>('integer', 'The last position that it knows.'),
  verified: Type.Union(
    [Type.Object({ level: count('0 to 3.'), at: Type.String({ description: 'RFC 3339.' }) }), Type.Null()],
    { description: 'The highest level that it passed.' },
  ),
  tested_at: orNull<string>('string', 'When it was last restored for a test and compared.'),
  error: orNull<string>('string', 'Why it failed.'),
})

const attestation = {
  id: 'attested_3f9a2c71d0e4',
  kind: 'pitr',
  reference: 'rds:orders-db',
  shows_from: '2026-01-08T02:14:00.000000Z',
  shows_to: '2026-01-15T09:25:00.000000Z',
  bytes: null,
  attested_by: 'annals@ops-1',
  attested_at: '2026-01-15T09:30:00.000000Z',
  expires_at: null,
}

const Attestation = Type.Object({
  id: Type.String(),
  kind: oneOf(['snapshot', 'pitr'], '`snapshot` shows one moment; `pitr` leads to any moment of a window.'),
  reference: Type.String({ description: 'Under which it is known where it was made.' }),
  shows_from: Type.String({ description: 'RFC 3339.' }),
  shows_to: Type.String({ description: 'RFC 3339; of a snapshot the same.' }),
  bytes: orNull<number>('integer', 'As it was said.'),
  attested_by: Type.String({ description: 'Who says so.' }),
  attested_at: Type.String({ description: 'RFC 3339.' }),
  expires_at: orNull<string>('string', 'RFC 3339; when it is removed there.'),
})

export const BackupListSchema = Type.Object(
  {
    backups: Type.Array(Backup, { description: 'The newest first.' }),
    attested: Type.Array(Attestation, {
      description:
        'Backups that were made elsewhere, as `annals backup attest` was told; Annals has never read them, and can not restore them.',
    }),
    faults: Type.Array(Type.String(), { description: 'What was found and can not be read.' }),
  },
  { $id: 'BackupList', examples: [{ backups: [entry], attested: [attestation], faults: [] }] },
)

export const BackupSchema = Type.Composite(
  [
    Backup,
    Type.Object({ manifest: Type.Object({}, { additionalProperties: true, description: 'As beside the files.' }) }),
  ],
  { $id: 'Backup', examples: [{ ...entry, manifest: { format: 1, id: entry.id, type: entry.type } }] },
)

const lines = (description: string) => Type.Array(Type.String(), { description })

export const BackupTypesSchema = Type.Object(
  {
    types: Type.Array(
      Type.Object({
        type: Type.String(),
        summary: Type.String(),
        advantages: lines('What it is good for.'),
        disadvantages: lines('What it is not.'),
        needs: lines('What has to be installed.'),
      }),
    ),
  },
  {
    $id: 'BackupTypes',
    examples: [
      {
        types: [
          {
            type: 'archive',
            summary: 'events, snapshots and consumers as compressed files of rows',
            advantages: ['can be checked to the last row without a server'],
            disadvantages: ['indexes are built again on restore'],
            needs: [],
          },
        ],
      },
    ],
  },
)

export const NewBackupSchema = Type.Object(
  {
    type: Type.Optional(Type.String({ default: 'archive', description: 'As `GET /backups/types` lists them.' })),
    since: Type.Optional(Type.String({ pattern: BACKUP_ID, description: 'Only what came after this backup.' })),
    format: Type.Optional(
      Type.Union([Type.Literal('custom'), Type.Literal('plain')], { description: 'Of a dump; `custom` when absent.' }),
    ),
    gzip: Type.Optional(Type.Boolean({ description: 'Compress a plain dump.' })),
    kind: Type.Optional(
      Type.Union([Type.Literal('full'), Type.Literal('diff'), Type.Literal('incr')], { description: 'Of pgBackRest.' }),
    ),
    tables: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z_][a-z0-9_]{0,62}$' }), {
        minItems: 1,
        maxItems: 100,
        description: 'Of the type `tables`, which needs them.',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ type: 'archive' }] },
)

export const VerifySchema = Type.Object(
  {
    level: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3,
        default: 1,
        description:
          '0: files and hashes. 1: read to the end. 2: restored into a scratch database. 3: and compared row by row with the live store.',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ level: 1 }] },
)

const Progress = Type.Object({
  step: Type.String({ description: 'What is being done.' }),
  unit: oneOf(['events', 'rows', 'bytes'], 'What is counted; `rows` are those of other tables.'),
  done: count('So far.'),
  total: orNull<number>('integer', 'In all, when that is known.'),
})

export const JobSchema = Type.Object(
  {
    id: Type.String(),
    kind: Type.String({ description: '`create`, `verify`, `test`, …' }),
    backup_id: orNull<string>('string', 'Null until a backup has its id.'),
    state: oneOf(['running', 'succeeded', 'failed', 'stopped'], '`stopped`: the service was, or somebody stopped it.'),
    started_at: Type.String({ description: 'RFC 3339.' }),
    updated_at: Type.String({ description: 'RFC 3339.' }),
    finished_at: orNull<string>('string', 'RFC 3339.'),
    progress: Type.Union([Progress, Type.Null()]),
    result: orNull<object>('object', 'What came of it; its members depend on the kind.'),
    error: orNull<string>('string', 'Why it did not succeed.'),
  },
  {
    $id: 'Job',
    examples: [
      {
        id: '0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f',
        kind: 'create',
        backup_id: null,
        state: 'running',
        started_at: '2026-01-15T02:00:00.000000Z',
        updated_at: '2026-01-15T02:00:03.000000Z',
        finished_at: null,
        progress: { step: 'copying events', unit: 'events', done: 400_000, total: 1_000_000 },
        result: null,
        error: null,
      },
    ],
  },
)

export const JobStartedSchema = Type.Object(
  { id: Type.String({ description: 'Of the job: see `GET /jobs/{id}`.' }) },
  { $id: 'JobStarted', examples: [{ id: '0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f' }] },
)

export const BACKUP_SCHEMAS = [BackupListSchema, BackupSchema, BackupTypesSchema, JobSchema, JobStartedSchema]
