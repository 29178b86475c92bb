// All cases, by chapter.

import { ACCESS } from './access.ts'
import { APPENDS } from './appends.ts'
import type { Case } from './case.ts'
import { CONTENT_TYPES } from './content-types.ts'
import { FRAMING } from './framing.ts'
import { JSON_BODIES } from './json.ts'
import { READS } from './reads.ts'
import { REQUEST_LINES } from './request-line.ts'
import { RESOURCES } from './resources.ts'
import { VALUES } from './values.ts'

export const CORPUS: Record<string, Case[]> = {
  'request lines': REQUEST_LINES,
  framing: FRAMING,
  'content types': CONTENT_TYPES,
  'JSON bodies': JSON_BODIES,
  values: VALUES,
  appends: APPENDS,
  reads: READS,
  resources: RESOURCES,
  access: ACCESS,
}
