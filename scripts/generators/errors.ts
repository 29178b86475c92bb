// docs/reference/errors.md, from the catalogue in src/errors.ts.

import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import { cell, row } from './markdown.ts'

// The catalogue holds the usual status; these answers have a second one.
const OTHER_STATUS: Partial<Record<ErrorCode, string>> = { version_conflict: ' or 412' }

export const errorsReference = () => `# Errors

Every error is an RFC 9457 problem, \`application/problem+json\`, with the members \`type\` (\`urn:annals:problem:<code>\`),
\`title\`, \`status\`, \`code\`, \`detail\`, \`request_id\`, \`retryable\` and \`outcome\`. Programs decide by \`code\`; the texts may
change. \`outcome\` says what became of the request: \`not_applied\` (nothing was stored), \`applied\`, or \`unknown\`
(a retry with the same event ids settles it). Every 503 has the header \`Retry-After\`.

\`version_conflict\` is 409 when the expected version was in the body, and 412 when it was in a header.

${row('code', 'status', 'retryable', 'outcome', 'title', 'what to do')}
${row('---', '---', '---', '---', '---', '---')}
${Object.entries(ERRORS)
  .map(([code, { status, title, hint, retryable, outcome }]) =>
    row(
      `\`${code}\``,
      `${status}${OTHER_STATUS[code as ErrorCode] ?? ''}`,
      retryable ? 'yes' : 'no',
      `\`${outcome ?? 'not_applied'}\``,
      cell(title),
      cell(hint),
    ),
  )
  .join('\n')}
`
