// `npm run audit`: fails when the registry knows a vulnerability in what is installed to run the service, and says so
// in words when the registry can't be asked, which is no finding.

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
const { text, isFinding } = judgeAudit(audit)
console.log(text)
process.exitCode = isFinding ? 1 : 0
