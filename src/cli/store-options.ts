// The options that say which store is meant, alike for all commands.

import { Value } from '@sinclair/typebox/value'
import { InvalidArgumentError, Option } from 'commander'
import { allowed } from '../config.ts'
import { Settings } from '../settings.ts'

export const databaseUrlOption = (): Option => new Option('--database-url <url>', 'the database itself, not a pooler')

/** What DATABASE_SCHEMA could not be, no service could open. */
export const schemaOption = (): Option =>
  new Option('--schema <name>', 'schema of the store; DATABASE_SCHEMA when absent').argParser((text) => {
    const { DATABASE_SCHEMA: schema } = Settings.properties
    if (Value.Check(schema, text)) return text
    throw new InvalidArgumentError(`It must be ${allowed(schema)}.`)
  })
