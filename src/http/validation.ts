// Compiles the schemas of a route into checks that answer in our words. Bodies are checked by TypeBox's compiler:
// no coercion, no removed properties, no defaults.

import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import { TypeCompiler, type ValueError, ValueErrorType } from '@sinclair/typebox/compiler'
import type { FastifySchemaCompiler } from 'fastify'
import { type RuleViolation, validationFailed } from '../errors.ts'
import { compileQuery } from './query.ts'

// A body that breaks more rules than this is told the first ones.
const MAX_VIOLATIONS = 20

interface BodyConfig {
  checksBody?: boolean
  isBodyOptional?: boolean
}

/**
 * Fastify's validator compiler: query and body by their schemas, which may refer to `shared` ones. Path parameters
 * and headers are checked by the routes, which know their codes; a route with `checksBody` does so for its body too.
 */
export const validatorCompiler =
  (shared: () => TSchema[], { checksBody, isBodyOptional }: BodyConfig): FastifySchemaCompiler<TSchema> =>
  ({ schema, httpPart }) => {
    if (httpPart === 'querystring') {
      const read = compileQuery(schema as TObject)
      return (text: string) => asResult(() => read(text))
    }
    if (httpPart === 'body' && checksBody !== true) {
      const check = compileBody(schema, shared())
      return (body: unknown) => (body === null && isBodyOptional === true) || asResult(() => check(body))
    }
    return () => true
  }

// Fastify takes what a validator throws for a bug, so refusals are returned.
function asResult(read: () => unknown): { value: unknown } | { error: Error } {
  try {
    return { value: read() }
  } catch (error) {
    return { error: error as Error }
  }
}

function compileBody(schema: TSchema, shared: TSchema[]): (body: unknown) => unknown {
  // Fastify's copies of shared schemas lack the symbols that the compiler goes by.
  const compiled = TypeCompiler.Compile(
    schema,
    shared.filter((each) => Kind in each),
  )
  return (body) => {
    if (compiled.Check(body)) return body
    const violations: RuleViolation[] = []
    const details: string[] = []
    for (const error of compiled.Errors(body)) {
      if (violations.some(({ pointer }) => pointer === error.path)) continue
      const choices = choicesOf(error)
      violations.push({ pointer: error.path, rule: ruleOf(error), ...(choices && { choices }) })
      details.push(`${error.path === '' ? 'The body' : error.path}: ${sentenceOf(error)}`)
      if (violations.length === MAX_VIOLATIONS) break
    }
    throw validationFailed(violations, details.join(' '))
  }
}

const RULES: Partial<Record<ValueErrorType, string>> = {
  [ValueErrorType.ArrayMinItems]: 'too_few',
  [ValueErrorType.ArrayMaxItems]: 'too_many',
  [ValueErrorType.ObjectAdditionalProperties]: 'unknown_member',
  [ValueErrorType.ObjectRequiredProperty]: 'required',
  [ValueErrorType.StringMinLength]: 'too_short',
  [ValueErrorType.StringMaxLength]: 'too_long',
  [ValueErrorType.StringPattern]: 'not_well_formed',
  [ValueErrorType.IntegerMinimum]: 'out_of_range',
  [ValueErrorType.IntegerMaximum]: 'out_of_range',
  [ValueErrorType.NumberMinimum]: 'out_of_range',
  [ValueErrorType.NumberMaximum]: 'out_of_range',
  [ValueErrorType.Literal]: 'not_a_choice',
  [ValueErrorType.Union]: 'not_a_choice',
}

const ruleOf = (error: ValueError): string => RULES[error.type] ?? String(error.schema['type'] ?? 'wrong_type')

/** The allowed values; undefined where they can not be listed, or another rule is broken. */
function choicesOf(error: ValueError): unknown[] | undefined {
  if (ruleOf(error) !== 'not_a_choice') return undefined
  const alternatives = (error.schema['anyOf'] as TSchema[] | undefined) ?? [error.schema]
  return alternatives.every((each) => 'const' in each) ? alternatives.map((each) => each['const']) : undefined
}

function sentenceOf(error: ValueError): string {
  switch (ruleOf(error)) {
    case 'unknown_member':
      return 'is no member of this body.'
    case 'required':
      return 'must be there.'
    case 'not_a_choice':
      return `must be ${choicesOf(error)?.join(' or ') ?? 'one of the allowed values'}.`
    default:
      return RULES[error.type] === undefined
        ? `must be ${withArticle(error.schema['type'] as string | undefined)}.`
        : `${error.message.replace(/^Expected .* to /, 'must ')}.`
  }
}

const withArticle = (type = 'of another type'): string =>
  type.includes(' ') ? type : `${/^[aeio]/.test(type) ? 'an' : 'a'} ${type}`
