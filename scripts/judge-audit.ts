// Tells a finding of `npm audit --json` from a registry that can't answer.

/** The members of the answer that matter here. */
export interface Audit {
  message?: string
  metadata?: { vulnerabilities: { total: number } }
  vulnerabilities?: Record<string, { severity: string; range: string; fixAvailable: unknown }>
}

/** What is known, in words; `not_checked` when the registry could not be asked. */
export function judgeAudit(audit: Audit): { text: string; verdict: 'none' | 'found' | 'not_checked' } {
  const total = audit.metadata?.vulnerabilities.total
  if (total === undefined) {
    const text = `NOT CHECKED FOR KNOWN VULNERABILITIES: the registry could not be asked (${audit.message ?? 'no reason given'}).`
    return { text, verdict: 'not_checked' }
  }
  if (total === 0) return { text: 'No known vulnerability in the packages that the service runs on.', verdict: 'none' }
  const findings = Object.entries(audit.vulnerabilities ?? {}).map(
    ([name, { severity, range, fixAvailable }]) =>
      `  ${name} ${range}: ${severity}, ${fixAvailable ? 'a fix is available' : 'no fix yet'}`,
  )
  return { text: [`${total} known vulnerabilities:`, ...findings].join('\n'), verdict: 'found' }
}
