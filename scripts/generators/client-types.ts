// src/client/api-types.ts: the types of the HTTP contract, from the OpenAPI document.

import openapiTS, { astToString } from 'openapi-typescript'
import { buildOpenApi } from '../../src/openapi-document.ts'

interface Document {
  paths: Record<string, Record<string, { responses?: Record<string, unknown> }>>
}

/** Without the refusals: they are all a `Problem`, and listed one by one they are four fifths of the file. */
function onlySuccesses(document: Document): Document {
  for (const path of Object.values(document.paths)) {
    for (const { responses } of Object.values(path)) {
      for (const status of Object.keys(responses ?? {})) if (!/^[23]/.test(status)) delete responses?.[status]
    }
  }
  return document
}

export async function clientTypes(): Promise<string> {
  const document = onlySuccesses(JSON.parse(await buildOpenApi()) as Document)
  const nodes = await openapiTS(document as never, { emptyObjectsUnknown: true, defaultNonNullable: false })
  return `// Generated from openapi/openapi.json by \`npm run generate\`: do not edit.\n\n${astToString(nodes)}`
}
