// docs/reference/backup-policy.md and deploy/prometheus/backup.rules.yml, from the built-in policy and its schema.

import type { TSchema } from '@sinclair/typebox'
import { stringify } from 'yaml'
import { alertRules } from '../../src/backup/policy/alert-rules.ts'
import { BackupPolicy, DEFAULT_POLICY } from '../../src/backup/policy/policy.ts'
import { policyDocument } from '../../src/backup/policy/policy-document.ts'
import { cell, row } from './markdown.ts'

interface Member {
  path: string
  schema: TSchema
  isOptional: boolean
}

function membersOf(schema: TSchema, path = ''): Member[] {
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, TSchema>)
  const required = (schema['required'] ?? []) as string[]
  return properties.flatMap(([name, each]) => [
    { path: path + name, schema: each, isOptional: !required.includes(name) },
    ...membersOf(each, `${path}${name}.`),
    ...((each['items']?.['anyOf'] ?? []) as TSchema[]).flatMap((item) => {
      const task = item['properties']['task']['const'] as string
      return membersOf(item, `${path}${name}[] (${task}).`)
    }),
  ])
}

function kindOf(schema: TSchema): string {
  if (schema['const'] !== undefined) return `\`${JSON.stringify(schema['const'])}\``
  if (schema['anyOf'] !== undefined) return (schema['anyOf'] as TSchema[]).map(kindOf).join(' or ')
  const from = schema['minimum'] === undefined ? '' : `, ${schema['minimum']} or more`
  return `${schema['type']}${from}`
}

export const backupPolicyReference = () => `# The policy of backups

One document says what is backed up when, how long it is kept, when somebody is told, and what recovery has to reach.
\`BACKUP_POLICY_FILE\` names it, as JSON or YAML; a member that it leaves out is that of the built-in policy, and one that it
has replaces that whole. What is wrong stops the start with its place. From it come the schedules of the service
(\`SCHEDULES=on\`) and \`GET /schedules\`, \`annals backup prune\`, \`annals backup plan --provider rds\`, and
\`annals schedules generate crontab|kubernetes|prometheus|s3-lifecycle|markdown\`, of which the last one is the policy in words, as below.

## The built-in policy

\`\`\`yaml
${stringify(DEFAULT_POLICY).trimEnd()}
\`\`\`

The same in words:

${policyDocument(DEFAULT_POLICY).replaceAll(/^## /gm, '### ').trimEnd()}

## Members

${row('member', 'meaning', 'kind')}
${row('---', '---', '---')}
${membersOf(BackupPolicy)
  .map(({ path, schema, isOptional }) =>
    row(
      `\`${path}\``,
      cell(String(schema['description'] ?? '')),
      cell(kindOf(schema) + (isOptional ? ', may be absent' : '')),
    ),
  )
  .join('\n')}
`

export const backupRules = () =>
  `# Generated from the built-in policy by \`npm run generate\`: do not edit. For a policy of your own:
#   annals schedules generate prometheus > backup.rules.yml
${alertRules(DEFAULT_POLICY)}`
