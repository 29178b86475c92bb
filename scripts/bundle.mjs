// Puts the command line, with the packages that it imports, into few files: <folder>/main.js and <folder>/chunks, in the
// place of the main.js that tsc wrote. Finding and reading six hundred modules was most of a start
// (docs/decisions/0021-bundle.md). A JavaScript file, as it is part of the build.
//
//   node scripts/bundle.mjs [FOLDER]     the default is dist

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const folder = resolve(process.argv[2] ?? join(ROOT, 'dist'))

// Left where they are: what reads files beside its own, what is large and seldom needed, and what nobody has.
const EXTERNAL = ['@fastify/swagger-ui', 'pino', '@aws-sdk/*', 'pg-native']

const chunks = join(folder, 'chunks')
const { metafile, outputFiles } = await build({
  absWorkingDir: ROOT,
  entryPoints: ['src/main.ts'],
  outdir: folder,
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  // What a command imports when it is called stays a file of its own.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  external: EXTERNAL,
  // Packages in CommonJS ask for Node's modules by it.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'\nconst require = requireFrom(import.meta.url)",
  },
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  write: false,
  logLevel: 'warning',
})
mkdirSync(chunks, { recursive: true })
for (const { path, contents } of outputFiles) put(path, contents)
chmodSync(join(folder, 'main.js'), 0o755)
put(join(folder, 'licences.txt'), Buffer.from(licencesOf(Object.keys(metafile.inputs))))
const made = new Set(outputFiles.map(({ path }) => basename(path)))
for (const name of readdirSync(chunks)) if (!made.has(name)) rmSync(join(chunks, name), { force: true })

/** Never leaves a part of a file for a service to find that is being started from the folder meanwhile. */
function put(path, contents) {
  if (existsSync(path) && readFileSync(path).equals(contents)) return
  const partial = join(folder, `.partial-${process.pid}`)
  writeFileSync(partial, contents)
  renameSync(partial, path)
}

/** Name, version and licence of each package that became a part of the files, as those licences ask for. */
function licencesOf(inputs) {
  const packages = inputs.map((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
  return [...new Set(packages.filter((path) => path !== undefined))]
    .sort((one, other) => one.localeCompare(other))
    .map((path) => {
      const { name, version, license } = JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8'))
      const file = readdirSync(join(ROOT, path)).find((each) => /^licen[cs]e/i.test(each))
      const text = file === undefined ? '' : `\n${readFileSync(join(ROOT, path, file), 'utf8').trim()}\n`
      return `${name} ${version}: ${license}\n${text}`
    })
    .join(`\n${'-'.repeat(80)}\n\n`)
}
