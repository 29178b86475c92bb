// `npm run audit`: whether a vulnerability is known in what the service runs on. Exit code 0: none; 1: there is one; 3: the
// registry could not be asked, so nothing was checked. AUDIT=required turns 3 into 1.

import { execFile } from 'node:child_process'
import { type Audit, judgeAudit } from './judge-audit.ts'

const json = await new Promise<string>((resolve) => {
  execFile(
    'npm',
    ['audit', '--omit=dev', '--json'],
    { maxBuffer: 2 ** 26, shell: process.platform === 'win32' },
    (_, out) => resolve(out),
  )
})
let audit: Audit
try {
  audit = JSON.parse(json) as Audit
} catch {
  audit = { message: 'npm audit printed no JSON' }
}
const { text, verdict } = judgeAudit(audit)
const isRequired = process.env['AUDIT'] === 'required'
if (verdict === 'none') console.log(text)
else console.error(text)
if (verdict === 'not_checked' && !isRequired) console.error('With AUDIT=required this fails.')
process.exitCode = { none: 0, found: 1, not_checked: isRequired ? 1 : 3 }[verdict]
