// docs/reference/settings.md and .env.example, from the schema in src/settings.ts.

import type { TSchema } from '@sinclair/typebox'
import { allowed } from '../../src/config.ts'
import { defaultOf, PROFILES, type Profile, type SettingName, Settings } from '../../src/settings.ts'
import { cell, row } from './markdown.ts'

const profiles = Object.keys(PROFILES) as Profile[]
const settings = Object.entries(Settings.properties as Record<string, TSchema>).map(([name, schema]) => ({
  name,
  meaning: String(schema['description']),
  allowed: allowed(schema),
  isSecret: schema['secret'] === true,
  defaults: profiles.map((profile) => (name === 'APP_ENV' ? 'development' : defaultOf(name as SettingName, profile))),
}))

/** One default, or one per profile where they differ. */
function defaults(values: (string | number | undefined)[]): string {
  const distinct = [...new Set(values)]
  if (distinct.length > 1) return values.map((value) => `\`${value}\``).join(' / ')
  return distinct[0] === undefined ? '' : `\`${distinct[0]}\``
}

export const settingsReference = () => `# Settings

Every setting is an environment variable. The service also reads the file \`.env\` in its working folder; a variable that
is set in the environment wins over the file, and an empty value counts as absent. A value that is not allowed stops the
start with exit code 1 and a message that names the variable.

Where defaults differ by profile (\`APP_ENV\`) they are given as ${profiles.map((name) => `*${name}*`).join(' / ')}.
A secret is never logged and never shown.

${row('setting', 'meaning', 'allowed', 'default', 'secret')}
${row('---', '---', '---', '---', '---')}
${settings
  .map((each) =>
    row(
      `\`${each.name}\``,
      cell(each.meaning),
      cell(each.allowed),
      defaults(each.defaults),
      each.isSecret ? 'secret' : '',
    ),
  )
  .join('\n')}
`

export const envExample = () =>
  `# Copy to .env and take out the # in front of what you want to change.\n${settings
    .map(({ name, meaning, defaults: [first] }) => `\n# ${meaning}\n# ${name}=${first ?? ''}\n`)
    .join('')}`
