// annals config export: the settings that were given, as a file that may lie in a repository.

import { Command } from 'commander'
import { type LoadedSettings, loadSettings, withEnvFile } from '../config.ts'
import { type SettingName, Settings } from '../settings.ts'

export function configCommand(): Command {
  return new Command('config').description('the settings of the service').addCommand(
    new Command('export')
      .description('print the settings that were given, by the environment or .env; of secrets only a reference')
      .option('--json', 'print the result as JSON')
      .action((options: { json?: boolean }) => {
        const given = exportSettings(loadSettings(withEnvFile(process.env, process.cwd())))
        process.stdout.write(options.json ? `${JSON.stringify(given, null, 2)}\n` : envFile(given))
      }),
  )
}

export interface ExportedSettings {
  settings: Record<string, string | number>
  /** Names of those that are secret; their values stay in the manager of secrets. */
  secrets: string[]
}

/** What has its default is left out. */
export function exportSettings({ settings, origins }: LoadedSettings): ExportedSettings {
  const given = (Object.keys(Settings.properties) as SettingName[]).filter((name) => origins[name] === 'environment')
  const isSecret = (name: SettingName) =>
    Settings.properties[name]['secret'] === true || hasPassword(String(settings[name]))
  return {
    settings: Object.fromEntries(
      given.filter((name) => !isSecret(name)).map((name) => [name, settings[name] as string | number]),
    ),
    secrets: given.filter(isSecret),
  }
}

/** The address of a restic server, for instance, may hold one. */
const hasPassword = (value: string): boolean => /\/\/[^/@\s]*:[^/@\s]*@/.test(value)

function envFile({ settings, secrets }: ExportedSettings): string {
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${quoted(String(value))}`)
  const references = secrets.map((name) => `${name}=\${${name}}`)
  return [
    ...lines,
    ...(secrets.length === 0
      ? []
      : ['', '# Filled in from the manager of secrets, by envsubst for instance.', ...references]),
    '',
  ].join('\n')
}

/** As .env takes it: within whichever quotes the value does not have. */
function quoted(value: string): string {
  if (/^[\w./:@,+*-]*$/.test(value)) return value
  const quote = ["'", '`', '"'].find((each) => !value.includes(each)) ?? "'"
  return `${quote}${value}${quote}`
}
