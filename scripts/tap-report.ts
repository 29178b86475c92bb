// Reads the output of `tap --reporter=tap`: shows files, test titles and failures, and counts what was really run.

/** How a run ended. */
export interface Verdict {
  /** `N passed, N failed`, and `, N skipped` when there were any. */
  line: string
  /** What is wrong beside failed assertions. */
  problem?: string
  isGreen: boolean
}

const TOTALS = /^# \{ total: \d+(.*) \}$/
const POINT = /^( *)(not )?ok\b/
const NOISE = /^\s*(TAP version \d+|\d+\.\.\d+( #.*)?|# (Subtest|time=|No coverage).*|[{}]|)$/

export class TapReport {
  #totals: { pass: number; fail: number; skip: number } | undefined
  #emptyFiles = 0
  #isInFailure = false

  /** Takes the next line, and returns it when a person wants to see it: all but passed assertions and TAP's own noise. */
  read(line: string): string | undefined {
    const totals = TOTALS.exec(line)
    if (totals !== null) {
      const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals[1] as string)?.[1] ?? 0)
      const skip = count('skip') + count('todo')
      this.#totals = { pass: count('pass'), fail: count('fail'), skip }
      return undefined
    }
    const point = POINT.exec(line)
    if (point !== null) {
      this.#isInFailure = point[2] !== undefined
      // tap skips a file without a test; a file that says nothing proves nothing.
      if (/^ok .* # SKIP no tests found/.test(line)) {
        this.#emptyFiles++
        return line.replace(/^ok (.*) # SKIP.*/, 'not ok $1 has no test')
      }
      const isFileOrTitle = (point[1] as string).length <= 4
      return this.#isInFailure || isFileOrTitle || /# (SKIP|TODO)/i.test(line) ? line : undefined
    }
    if (this.#isInFailure) {
      if (/^ *\.\.\.$/.test(line)) this.#isInFailure = false
      return line
    }
    return NOISE.test(line) ? undefined : line
  }

  /** The verdict, given tap's exit code. A run without a single assertion is a failure, and so is a file without one. */
  close(exitCode: number): Verdict {
    const totals = this.#totals
    if (totals === undefined) {
      return { line: '0 passed, 1 failed', problem: 'tap ended before it counted its tests.', isGreen: false }
    }
    const skip = totals.skip - this.#emptyFiles
    let fail = totals.fail + this.#emptyFiles
    let problem: string | undefined
    if (fail === 0 && exitCode !== 0) {
      fail = 1
      problem = `tap ended with exit code ${exitCode}.`
    } else if (totals.pass + fail === 0) {
      problem = 'No test was run.'
    }
    const line = `${totals.pass} passed, ${fail} failed${skip > 0 ? `, ${skip} skipped` : ''}`
    return { line, isGreen: fail === 0 && problem === undefined, ...(problem && { problem }) }
  }
}
