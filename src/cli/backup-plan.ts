// annals backup plan: the commands that make a provider's own backups be what the policy says.

import { Command, InvalidArgumentError, Option } from 'commander'
import { PROVIDERS, type Provider } from '../backup/policy/provider-plan.ts'
import { readPolicy } from '../backup/policy/read-policy.ts'
import { commandSettings } from './target-database.ts'

export function planCommand(): Command {
  return new Command('plan')
    .description("print the commands that make a provider's own backups be what the policy says; nothing is run")
    .addOption(
      new Option('--provider <provider>', 'of the database').choices(Object.keys(PROVIDERS)).makeOptionMandatory(),
    )
    .option('--instance <name>', "the provider's name of the database", instanceArgument, 'annals')
    .action(({ provider, instance }: { provider: Provider; instance: string }) => {
      const policy = readPolicy(commandSettings().BACKUP_POLICY_FILE)
      process.stdout.write(PROVIDERS[provider](policy, instance, new Date()))
    })
}

/** It goes into a line for a shell. */
function instanceArgument(text: string): string {
  if (/^[a-z][a-z0-9-]{0,62}$/i.test(text)) return text
  throw new InvalidArgumentError('It is made of letters, digits and hyphens.')
}
