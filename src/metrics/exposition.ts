// Metrics as text. prom-client's own OpenMetrics output renames every counter for good and reads its format again
// after each wait, so scrapes of both formats would spoil each other.

import type { MetricObjectWithValues, MetricValue } from 'prom-client'
import type { MetricsRegistry } from './registry.ts'

export type ExpositionFormat = 'prometheus' | 'openmetrics'

export const CONTENT_TYPES: Record<ExpositionFormat, string> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

type Sample = MetricValue<string> & { metricName?: string }
type Family = MetricObjectWithValues<Sample>

/**
 * All metrics of the registry as text. Nothing in here waits for anything but the process itself; a metric that
 * throws is left out, so that one broken gauge doesn't take the scrape with it.
 */
export async function exposition(registry: MetricsRegistry, format: ExpositionFormat): Promise<string> {
  const families = await Promise.allSettled(
    registry.getMetricsAsArray().map(async (metric) => (metric as unknown as { get(): Promise<Family> }).get()),
  )
  const lines: string[] = []
  for (const family of families) {
    if (family.status === 'fulfilled') addFamily(lines, family.value, format === 'openmetrics')
  }
  if (format === 'openmetrics') lines.push('# EOF')
  return `${lines.join('\n')}\n`
}

function addFamily(lines: string[], family: Family, isOpenMetrics: boolean): void {
  const type = family.type as unknown as string
  // OpenMetrics calls the family of a counter without the suffix that its sample has.
  const name = isOpenMetrics && type === 'counter' ? family.name.replace(/_total$/, '') : family.name
  lines.push(`# HELP ${name} ${escapeHelp(family.help, isOpenMetrics)}`, `# TYPE ${name} ${type}`)
  for (const { metricName, labels, value } of family.values) {
    const sample = metricName ?? (isOpenMetrics && type === 'counter' ? `${name}_total` : name)
    lines.push(`${sample}${labelText(labels, isOpenMetrics)} ${numberText(value)}`)
  }
}

function labelText(labels: MetricValue<string>['labels'], isOpenMetrics: boolean): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    const isBound = name === 'le' && typeof value === 'number'
    const text = isBound && isOpenMetrics && Number.isInteger(value) ? `${value}.0` : String(value)
    return `${name}="${text.replace(/[\\"\n]/g, escapeCharacter)}"`
  })
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escapeHelp = (text: string, isOpenMetrics: boolean): string =>
  text.replace(isOpenMetrics ? /[\\"\n]/g : /[\\\n]/g, escapeCharacter)

const escapeCharacter = (character: string): string => (character === '\n' ? '\\n' : `\\${character}`)

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (value === Number.NEGATIVE_INFINITY) return '-Inf'
  return String(value)
}
