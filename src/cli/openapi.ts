import { Command } from 'commander'
import { buildOpenApi } from '../openapi-document.ts'

/** `annals openapi`: the description of the HTTP API, without a database. */
export function openapiCommand(): Command {
  return new Command('openapi').description('print the OpenAPI document').action(async () => {
    process.stdout.write(await buildOpenApi())
  })
}
