// Strict reading of query strings. The TypeBox schema of a route is the only source: it is what is documented in
// OpenAPI and what is enforced here. Values are text, so nothing is coerced by guess.

import type { TObject, TSchema } from '@sinclair/typebox'
import { AppError, type RuleViolation, validationFailed } from '../errors.ts'

/** Reads the text after `?`; the result has the declared names only. @throws AppError `validation_failed` */
export type QueryReader = (text: string) => Record<string, unknown>

/** A violated rule and what to say about it. */
interface Refusal extends Omit<RuleViolation, 'pointer'> {
  says: string
}

type Check = (text: string) => { value: unknown } | Refusal

interface Parameter {
  check: Check
  /** A repeatable parameter collects its values in an array. */
  maxItems: number | undefined
}

/** Schema option of a family of parameters: `{ 'metadata.': Type.String() }` takes `metadata.<key>=…`. */
export const PREFIX_PARAMETERS = 'x-prefix-parameters'

const WHOLE_NUMBER = /^(0|[1-9][0-9]{0,15})$/

/**
 * Compiles the schema of a route's query. Properties may be integers, strings (pattern, length), unions of literals,
 * booleans, or arrays of these, which are repeatable. `additionalProperties: true` ignores unknown parameters.
 * A default in the schema stands in for an absent parameter.
 */
export function compileQuery(schema: TObject): QueryReader {
  const parameters = new Map(Object.entries(schema.properties).map(([name, each]) => [name, readParameter(name, each)]))
  const families = Object.entries((schema[PREFIX_PARAMETERS] ?? {}) as Record<string, TSchema>).map(
    ([prefix, each]) => [prefix, each] as const,
  )
  const ignoresUnknown = schema.additionalProperties === true
  const defaults = Object.entries(schema.properties).filter(([, each]) => each.default !== undefined)

  return (text) => {
    const values: Record<string, unknown> = {}
    for (const [name, each] of defaults) values[name] = each.default
    if (text === '') return values
    const seen = new Set<string>()
    const violations: RuleViolation[] = []
    const details: string[] = []
    const refuse = (name: string, { says, ...violation }: Refusal) => {
      violations.push({ pointer: `query/${name}`, ...violation })
      details.push(`${name} ${says}`)
    }

    for (const part of text.split('&')) {
      if (part === '') continue
      const equals = part.indexOf('=')
      const rawName = equals === -1 ? part : part.slice(0, equals)
      const name = decode(rawName)
      let parameter = name === undefined ? undefined : parameters.get(name)
      if (parameter === undefined && name !== undefined) {
        const family = families.find(([prefix]) => name.startsWith(prefix) && name.length > prefix.length)
        if (family !== undefined) parameter = readParameter(name, family[1])
      }
      if (name === undefined || parameter === undefined) {
        if (!ignoresUnknown)
          refuse(name ?? rawName, { rule: 'unknown_parameter', says: 'is no parameter of this route.' })
        continue
      }
      const value = decode(equals === -1 ? '' : part.slice(equals + 1))
      if (value === undefined) {
        refuse(name, { rule: 'bad_encoding', says: 'must be percent-encoded UTF-8.' })
        continue
      }
      if (value.includes('\0') || name.includes('\0')) {
        refuse(name, { rule: 'nul_character', says: 'must not contain U+0000.' })
        continue
      }
      const isRepeated = seen.has(name)
      if (isRepeated && parameter.maxItems === undefined) {
        refuse(name, { rule: 'repeated_parameter', says: 'may be given once only.' })
        continue
      }
      seen.add(name)
      const result = parameter.check(value)
      if ('rule' in result) {
        refuse(name, result)
      } else if (parameter.maxItems === undefined) {
        values[name] = result.value
      } else {
        const items = isRepeated ? (values[name] as unknown[]) : []
        if (items.length === parameter.maxItems) {
          refuse(name, { rule: 'too_many', says: `may be given ${parameter.maxItems} times at most.` })
          continue
        }
        items.push(result.value)
        values[name] = items
      }
    }
    if (violations.length > 0) throw validationFailed(violations, details.join(' '))
    return values
  }
}

// As forms write it: a plus is a blank. Undefined when it is no percent-encoded UTF-8.
function decode(text: string): string | undefined {
  if (!text.includes('%') && !text.includes('+')) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

function readParameter(name: string, schema: TSchema): Parameter {
  if (schema['type'] === 'array') {
    return { check: checkOf(name, schema['items'] as TSchema), maxItems: (schema['maxItems'] as number) ?? 1_000 }
  }
  return { check: checkOf(name, schema), maxItems: undefined }
}

function checkOf(name: string, schema: TSchema): Check {
  if (schema['anyOf'] !== undefined) return choiceCheck((schema['anyOf'] as TSchema[]).map((each) => each['const']))
  if (schema['const'] !== undefined) return choiceCheck([schema['const']])
  if (schema['type'] === 'boolean') {
    return (text) =>
      text === 'true' || text === 'false'
        ? { value: text === 'true' }
        : { rule: 'not_a_boolean', says: 'must be true or false.' }
  }
  if (schema['type'] === 'integer') {
    return integerCheck((schema['minimum'] as number) ?? 0, (schema['maximum'] as number) ?? Number.MAX_SAFE_INTEGER)
  }
  if (schema['type'] === 'number') return numberCheck((schema['minimum'] as number) ?? 0, schema['maximum'] as number)
  if (schema['type'] === 'string') return textCheck(schema)
  throw new Error(`the query parameter ${name} has a schema that can't be read from text`)
}

const choiceCheck =
  (choices: unknown[]): Check =>
  (text) =>
    choices.includes(text)
      ? { value: text }
      : { rule: 'not_a_choice', choices, says: `must be one of ${choices.join(', ')}.` }

const integerCheck =
  (minimum: number, maximum: number): Check =>
  (text) => {
    const says =
      maximum === Number.MAX_SAFE_INTEGER
        ? `must be a whole number of ${minimum} or more.`
        : `must be a whole number from ${minimum} to ${maximum}.`
    if (!WHOLE_NUMBER.test(text)) return { rule: 'not_an_integer', says }
    const value = Number(text)
    if (value < minimum || value > maximum) return { rule: 'out_of_range', says }
    return { value }
  }

const numberCheck =
  (minimum: number, maximum = Number.MAX_VALUE): Check =>
  (text) => {
    const value = Number(text)
    if (!/^[0-9]{1,15}(\.[0-9]{1,15})?$/.test(text)) return { rule: 'not_a_number', says: 'must be a decimal number.' }
    if (value < minimum || value > maximum) {
      return { rule: 'out_of_range', says: `must be from ${minimum} to ${maximum}.` }
    }
    return { value }
  }

function textCheck(schema: TSchema): Check {
  const {
    minLength = 0,
    maxLength = Number.POSITIVE_INFINITY,
    pattern,
  } = schema as TSchema & {
    minLength?: number
    maxLength?: number
    pattern?: string
  }
  const expression = pattern === undefined ? undefined : new RegExp(pattern, 'u')
  return (text) => {
    if (text.length < minLength) return { rule: 'too_short', says: 'must not be empty.' }
    if (text.length > maxLength) return { rule: 'too_long', says: `must have ${maxLength} characters at most.` }
    if (expression !== undefined && !expression.test(text)) {
      return { rule: 'not_well_formed', says: (schema['x-says'] as string) ?? `must match ${pattern}.` }
    }
    return { value: text }
  }
}

/** For routes that check more than a schema can say. */
export const queryError = (name: string, rule: string, says: string): AppError =>
  validationFailed([{ pointer: `query/${name}`, rule }], `${name} ${says}`)
