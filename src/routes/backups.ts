// Backups for the operator: what there is, and making, checking and trying them as jobs. Where files go is decided by
// the settings, and nothing that is sent becomes part of a command line.

import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { BackupService } from '../backup/backup-service.ts'
import type { BackupDriver, VerifyLevel } from '../backup/driver.ts'
import type { JobRecord } from '../db/backup/backup-records.ts'
import { type ErrorCode, validationFailed } from '../errors.ts'
import {
  BACKUP_ID,
  BackupListSchema,
  BackupParams,
  BackupSchema,
  BackupTypesSchema,
  JOB_ID,
  JobParams,
  JobSchema,
  JobStartedSchema,
  NewBackupSchema,
  VerifySchema,
} from './backup-schemas.ts'
import { problems } from './schemas.ts'

export interface BackupRoutesOptions {
  backups: BackupService
  /** That can be asked for. */
  types: readonly Pick<BackupDriver, 'type' | 'about'>[]
}

const READ_PROBLEMS = ['timeout', 'database_unavailable', 'database_misconfigured'] as const
const START_PROBLEMS = ['validation_failed', 'job_running', 'backup_refused', ...READ_PROBLEMS] as const

const ref = (schema: { $id?: string }) => Type.Ref(schema.$id as string)

/** What all of them are. */
const route = (operationId: string, summary: string, description: string) => ({
  config: { scope: 'admin', isNeverCached: true } as const,
  schema: { operationId, tags: ['operations'], summary, description },
})

const started = (...codes: ErrorCode[]) => ({
  202: { ...ref(JobStartedSchema), description: 'The job has begun; `Location` names it.' },
  ...problems(...START_PROBLEMS, ...codes),
})

/** `/backups` and `/jobs`. */
export function backupRoutes(app: FastifyInstance, { backups, types }: BackupRoutesOptions): void {
  const list = route(
    'listBackups',
    'Which backups are known',
    'From the catalogue in the store and from what lies in `BACKUP_DIR`; while the database is away, from the files alone.',
  )
  app.get(
    '/backups',
    { ...list, schema: { ...list.schema, response: { 200: ref(BackupListSchema), ...problems('backup_refused') } } },
    async () => {
      const { entries, attested, faults } = await backups.list()
      return { backups: entries, attested, faults }
    },
  )

  const listTypes = route('listBackupTypes', 'Which types of backup there are', 'And what each is good for.')
  app.get(
    '/backups/types',
    { ...listTypes, schema: { ...listTypes.schema, response: { 200: ref(BackupTypesSchema) } } },
    async () => ({ types: types.map(({ type, about }) => ({ type, ...about })) }),
  )

  const read = route('getBackup', 'One backup', 'With its manifest, which has a hash of each file.')
  app.get(
    '/backups/:id',
    {
      ...read,
      schema: {
        ...read.schema,
        params: BackupParams,
        response: {
          200: ref(BackupSchema),
          ...problems('validation_failed', 'backup_not_found', 'backup_damaged', 'backup_refused'),
        },
      },
    },
    async (request) => {
      const { entry, manifest } = await backups.find(backupId(request))
      return { ...entry, manifest }
    },
  )

  const create = route(
    'createBackup',
    'Make a backup',
    'Into `BACKUP_DIR`. It shows one moment of the store, and holds up neither readers nor writers.',
  )
  app.post(
    '/backups',
    {
      config: { ...create.config, isBodyOptional: true },
      schema: {
        ...create.schema,
        body: NewBackupSchema,
        response: started('malformed_request', 'payload_too_large', 'unsupported_media_type'),
      },
    },
    async (request, reply) => {
      const { type = 'archive', since, ...options } = (request.body ?? {}) as Static<typeof NewBackupSchema>
      const choices = types.map((each) => each.type)
      if (!choices.includes(type)) {
        throw validationFailed(
          [{ pointer: '/type', rule: 'not_a_choice', choices }],
          `/type must be one of ${choices.join(', ')}.`,
        )
      }
      return answer(reply, await backups.create({ type, ...(since && { since }), options: options as object }))
    },
  )

  const verify = route('verifyBackup', 'Check a backup', 'At a level of certainty; level 1 when none is named.')
  app.post(
    '/backups/:id/verify',
    {
      config: { ...verify.config, isBodyOptional: true },
      schema: {
        ...verify.schema,
        params: BackupParams,
        body: VerifySchema,
        response: started('malformed_request', 'unsupported_media_type', 'backup_not_found', 'backup_damaged'),
      },
    },
    async (request, reply) => {
      const { level = 1 } = (request.body ?? {}) as Static<typeof VerifySchema>
      return answer(reply, await backups.verify(backupId(request), level as VerifyLevel))
    },
  )

  const test = route(
    'testBackup',
    'Try a backup out',
    'Restores it into a scratch database, compares every stream, drops the scratch, and writes down how it went.',
  )
  app.post(
    '/backups/:id/test',
    {
      config: { ...test.config, isBodyOptional: true },
      schema: {
        ...test.schema,
        params: BackupParams,
        body: Type.Object({}, { additionalProperties: false }),
        response: started('malformed_request', 'unsupported_media_type', 'backup_not_found', 'backup_damaged'),
      },
    },
    async (request, reply) => answer(reply, await backups.test(backupId(request))),
  )

  const readJob = route(
    'getJob',
    'How far a job is',
    'Of this service, of another one on the same store, or of a command.',
  )
  app.get(
    '/jobs/:id',
    {
      ...readJob,
      schema: {
        ...readJob.schema,
        params: JobParams,
        response: { 200: ref(JobSchema), ...problems('validation_failed', 'job_not_found', ...READ_PROBLEMS) },
      },
    },
    async (request) => jobBody(await backups.job(checked(request, JOB_ID))),
  )
}

// Who runs it, and from where, stays with the command.
const jobBody = ({ run_by: _by, request: _request, ...job }: JobRecord) => job

const answer = (reply: FastifyReply, id: string) => reply.code(202).header('location', `/jobs/${id}`).send({ id })

const backupId = (request: FastifyRequest): string => checked(request, BACKUP_ID)

/** The id in the path, which names a folder or a row. @throws AppError `validation_failed` */
function checked(request: FastifyRequest, pattern: string): string {
  const { id } = request.params as { id: string }
  if (!new RegExp(pattern).test(id)) throw validationFailed([{ pointer: 'path/id', rule: 'not_well_formed' }])
  return id
}
