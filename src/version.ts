import { readFileSync } from 'node:fs'

// Works from src/ and from dist/: both lie beside package.json.
const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

/** Version of this package. */
export const VERSION = manifest.version
