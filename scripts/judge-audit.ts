// Tells a finding of `npm audit --json` from a registry that can't answer.

/** The members of the answer that matter here. */
export interface Audit {
  message?: string
  metadata?: { vulnerabilities: { total: number } }
  vulnerabilities?: Record<string, { severity: string; range: string; fixAvailable: unknown }>
}

/** A sentence for the log, and whether there is something to mend. */
export function judgeAudit(audit: Audit): { text: string; isFinding: boolean } {
  const total = audit.metadata?.vulnerabilities.total
  if (total === undefined) {
    const text = `The registry could not be asked for known vulnerabilities (${audit.message ?? 'no reason given'}): nothing was checked.`
    return { text, isFinding: false }
  }
  if (total === 0) return { text: 'No known vulnerability in the packages that the service runs on.', isFinding: false }
  const findings = Object.entries(audit.vulnerabilities ?? {}).map(
    ([name, { severity, range, fixAvailable }]) =>
      `  ${name} ${range}: ${severity}, ${fixAvailable ? 'a fix is available' : 'no fix yet'}`,
  )
  return { text: [`${total} known vulnerabilities:`, ...findings].join('\n'), isFinding: true }
}
