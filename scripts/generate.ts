// `npm run generate` writes every file that is derived from code; `npm run generated` (`--check`) only compares, in
// memory, so that it needs no clean working tree. `-- <path…>` does so for some of the files.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { buildOpenApi } from '../src/openapi-document.ts'
import { backupPolicyReference, backupRules } from './generators/backup-policy.ts'
import { cliReference } from './generators/cli.ts'
import { clientTypes } from './generators/client-types.ts'
import { errorsReference } from './generators/errors.ts'
import { generatedFrom } from './generators/markdown.ts'
import { routesReference } from './generators/routes.ts'
import { schemaDescription } from './generators/schema.ts'
import { envExample, settingsReference } from './generators/settings.ts'

/** Path to the program that makes its text. */
const FILES: Record<string, () => string | Promise<string>> = {
  '.env.example': envExample,
  'docs/reference/settings.md': () => generatedFrom('src/settings.ts') + settingsReference(),
  'docs/reference/errors.md': () => generatedFrom('src/errors.ts') + errorsReference(),
  'docs/reference/routes.md': async () => generatedFrom('src/routes') + (await routesReference()),
  'migrations/schema.json': schemaDescription,
  'docs/reference/backup-policy.md': () => generatedFrom('src/backup/policy/policy.ts') + backupPolicyReference(),
  'deploy/prometheus/backup.rules.yml': backupRules,
  'docs/reference/cli.md': async () => generatedFrom('src/cli') + (await cliReference()),
  'openapi/openapi.json': buildOpenApi,
  'src/client/api-types.ts': clientTypes,
}

function onDisk(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const isCheck = process.argv.includes('--check')
const wanted = process.argv.slice(2).filter((argument) => argument !== '--check')
for (const path of wanted) {
  if (FILES[path] === undefined)
    throw new Error(`${path} is not generated; those that are: ${Object.keys(FILES).join(', ')}`)
}
const files = Object.entries(FILES).filter(([path]) => wanted.length === 0 || wanted.includes(path))
let stale = 0
for (const [path, make] of files) {
  const text = await make()
  if (onDisk(path) === text) continue
  stale++
  if (isCheck) {
    console.error(`${path} is not what the code says: run \`npm run generate\` and commit it.`)
  } else {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    console.log(`wrote ${path}`)
  }
}
if (isCheck && stale > 0) process.exitCode = 1
if (stale === 0) console.log(`generated files as the code says: ${files.length} of ${files.length}`)
