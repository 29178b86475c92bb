import { SettingsError } from '../config.ts'
import type { Profile } from '../settings.ts'

/** Origins whose pages may use the service; `*` among them for all. */
export type Origins = ReadonlySet<string>

/**
 * Reads `CORS_ALLOWED_ORIGINS`. All origins are too many in production, and for a service that asks nobody for a token:
 * any page in a browser on the machine could then use it.
 * @throws SettingsError that names the entry
 */
export function readOrigins(text: string | undefined, profile: Profile, needsToken: boolean): Origins | undefined {
  if (text === undefined) return undefined
  const origins = new Set(text.split(',').map((entry) => entry.trim()))
  for (const origin of origins) {
    if (origin !== '*' && !isOrigin(origin)) {
      throw new SettingsError(
        `CORS_ALLOWED_ORIGINS: ${JSON.stringify(origin)} must be an origin as browsers send it, such as https://app.example.com: scheme, host in lower case, and a port that is not the usual one`,
      )
    }
  }
  if (!origins.has('*')) return origins
  if (profile === 'production') {
    throw new SettingsError('CORS_ALLOWED_ORIGINS is *, which is refused in production: name the origins')
  }
  if (!needsToken) {
    throw new SettingsError('CORS_ALLOWED_ORIGINS is *, which needs tokens: set ANNALS_TOKENS, or name the origins')
  }
  return origins
}

const isOrigin = (text: string): boolean =>
  /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
