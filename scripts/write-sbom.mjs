// Writes dist/sbom.cdx.json: every package that the service runs on, with version, licence and hash (CycloneDX), as the
// lockfile has them. A JavaScript file, because it is part of the build, where nothing need be there to run TypeScript.

import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'

const TARGET = 'dist/sbom.cdx.json'
const changedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
const isForDevelopment = ({ properties }) => properties.some(({ name }) => name === 'cdx:npm:package:development')

// It takes seconds, and `npm start` builds every time.
if (changedAt(TARGET) < Math.max(changedAt('package-lock.json'), changedAt('package.json'))) {
  const json = execFileSync('npm', ['sbom', '--package-lock-only', '--sbom-format=cyclonedx'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    shell: process.platform === 'win32',
  })
  const sbom = JSON.parse(json)
  // Left out here, because `--omit=dev` also leaves out what development and the service have in common (npm 10 and 11).
  sbom.components = sbom.components.filter((component) => !isForDevelopment(component))
  const kept = new Set([sbom.metadata.component, ...sbom.components].map((component) => component['bom-ref']))
  sbom.dependencies = sbom.dependencies
    .filter(({ ref }) => kept.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => kept.has(each)) }))
  // npm takes the name of the folder.
  sbom.metadata.component.name = JSON.parse(readFileSync('package.json', 'utf8')).name
  writeFileSync(TARGET, `${JSON.stringify(sbom, null, 2)}\n`)
}
