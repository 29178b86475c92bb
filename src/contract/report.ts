import { AppError, type RuleViolation, validationFailed } from '../errors.ts'
import { streamIdInvalid } from './stream-id.ts'

// The first few are enough to mend a request.
const MAX_ERRORS = 20

/** Collects what is wrong with a request, and answers with the gravest: 400 before 413 before 422. */
export class Report {
  readonly violations: RuleViolation[] = []
  readonly unstorable: RuleViolation[] = []
  #streamId: string | undefined
  #tooLarge: { pointer: string; limitBytes: number } | undefined

  violation(pointer: string, rule: string): void {
    if (this.violations.length < MAX_ERRORS) this.violations.push({ pointer, rule })
  }

  streamId(pointer: string): void {
    this.#streamId ??= pointer
  }

  tooLarge(pointer: string, limitBytes: number): void {
    this.#tooLarge ??= { pointer, limitBytes }
  }

  /** The answer, or undefined when nothing is wrong. */
  error(): AppError | undefined {
    if (this.violations.length > 0) return validationFailed(this.violations)
    if (this.#streamId !== undefined) return streamIdInvalid(this.#streamId)
    if (this.#tooLarge !== undefined) return payloadTooLarge(this.#tooLarge.pointer, this.#tooLarge.limitBytes)
    const first = this.unstorable[0]
    if (first === undefined) return undefined
    return new AppError('unstorable_value', `${first.pointer}: ${first.rule}`, {
      members: { errors: this.unstorable.slice(0, MAX_ERRORS) },
    })
  }

  /** @throws AppError when anything is wrong */
  done(): void {
    const error = this.error()
    if (error !== undefined) throw error
  }
}

/** 413 for one part of a body, or for all of it (pointer ''). */
const payloadTooLarge = (pointer: string, limitBytes: number): AppError =>
  new AppError('payload_too_large', `${pointer || 'The body'} is larger than ${limitBytes} bytes.`, {
    members: { limit_bytes: limitBytes, errors: [{ pointer, rule: 'max_bytes' }] },
  })
