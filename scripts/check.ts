// `npm run check`: every gate, cheapest first; stops at the first that fails and names it.
// `npm run check -- format lint` runs only those.

import { spawn } from 'node:child_process'

/** A gate is an npm script of the same name; `mend` is the command that repairs what it finds, where there is one. */
const GATES: { name: string; mend?: string }[] = [
  { name: 'format', mend: 'npm run format:write' },
  { name: 'lint' },
  { name: 'types' },
  { name: 'dead-code' },
  { name: 'generated', mend: 'npm run generate' },
  { name: 'test' },
]

const run = (name: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const child = spawn('npm', ['run', '--silent', name], { stdio: 'inherit', shell: process.platform === 'win32' })
    child.once('error', reject)
    child.once('exit', (code) => resolve(code === 0))
  })

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !GATES.some((gate) => gate.name === name))
if (unknown.length > 0) {
  console.error(`There is no gate ${unknown.join(', ')}; the gates are ${GATES.map(({ name }) => name).join(', ')}.`)
  process.exit(2)
}

const passed: string[] = []
for (const { name, mend } of GATES) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const startedAt = performance.now()
  console.log(`── ${name}`)
  if (!(await run(name))) {
    console.error(`check: the gate \`${name}\` failed${mend ? `; \`${mend}\` mends what it can` : ''}.`)
    process.exit(1)
  }
  passed.push(`${name} ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
}
console.log(`check: all gates passed (${passed.join(', ')}).`)
