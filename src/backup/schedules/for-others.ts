// The schedules for those who have a scheduler already: a crontab, and CronJobs of Kubernetes.

import { stringify } from 'yaml'
import type { BackupPolicy, Schedule } from '../policy/policy.ts'

/** Lines for `crontab`, in the time zone of the policy. */
export const crontab = ({ timezone }: BackupPolicy, active: readonly Schedule[]): string =>
  `# The settings of Annals have to be in the environment, for instance by lines such as DATABASE_URL=… here.
CRON_TZ=${timezone}
${active.map(({ name, cron }) => `${cron} annals schedules run ${name}`).join('\n')}
`

export interface KubernetesOptions {
  image: string
  /** Name of the Secret that holds the settings. */
  secret: string
  /** Name of the claim of the volume for BACKUP_DIR. */
  claim: string
}

/** One CronJob a schedule; one that was missed is started up to an hour late. */
export const cronJobs = (policy: BackupPolicy, active: readonly Schedule[], options: KubernetesOptions): string =>
  active.map((schedule) => stringify(cronJob(policy, schedule, options), { lineWidth: 0 })).join('---\n')

const cronJob = (
  { timezone }: BackupPolicy,
  { name, cron }: Schedule,
  { image, secret, claim }: KubernetesOptions,
) => ({
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name: `annals-${name}`, labels: { 'app.kubernetes.io/name': 'annals' } },
  spec: {
    schedule: cron,
    timeZone: timezone,
    concurrencyPolicy: 'Forbid',
    startingDeadlineSeconds: 3_600,
    jobTemplate: {
      spec: {
        // A second attempt by itself; what fails twice is for people, and the alert tells them.
        backoffLimit: 1,
        template: {
          spec: {
            restartPolicy: 'Never',
            containers: [
              {
                name: 'annals',
                image,
                args: ['schedules', 'run', name],
                envFrom: [{ secretRef: { name: secret } }],
                env: [{ name: 'BACKUP_DIR', value: '/backups' }],
                volumeMounts: [
                  { name: 'backups', mountPath: '/backups' },
                  { name: 'tmp', mountPath: '/tmp' },
                ],
                securityContext: {
                  runAsNonRoot: true,
                  readOnlyRootFilesystem: true,
                  allowPrivilegeEscalation: false,
                  capabilities: { drop: ['ALL'] },
                },
              },
            ],
            volumes: [
              { name: 'backups', persistentVolumeClaim: { claimName: claim } },
              { name: 'tmp', emptyDir: {} },
            ],
          },
        },
      },
    },
  },
})

/** The lifecycle of a bucket, for `aws s3api put-bucket-lifecycle-configuration`. */
export const s3Lifecycle = ({ offsite_expire_days: days }: BackupPolicy, prefix: string): string =>
  `${JSON.stringify(
    {
      Rules: [
        {
          ID: 'annals-backups',
          Status: 'Enabled',
          Filter: { Prefix: prefix },
          Expiration: { Days: days },
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
        },
      ],
    },
    null,
    2,
  )}\n`
