/**
 * Does a value fit a JSON schema? What is asked of values that mostly do: nothing is loaded for it and little is compiled,
 * where Ajv takes 60 ms of a process before it has looked at anything. Where the answer is no, Ajv tells why; so it is no,
 * too, for a keyword that isn't known here. Pure.
 */
import type { FaultKeyword } from './fault-keyword.js'

type Rules = Readonly<Record<string, unknown>>
type Members = Readonly<Record<string, unknown>>
type Check = (value: unknown) => boolean

/** What checks the values of a schema. Each part of it is made ready when a value first comes to it. */
export function fitter(schema: object, keywords: readonly FaultKeyword[]): Check {
  const own = new Map(keywords.map((keyword) => [keyword.keyword, keyword]))
  const ready = new Map<unknown, Check>()
  const ofRule = (name: string, rule: unknown, rules: Rules): Check => {
    const keyword = own.get(name)
    if (keyword !== undefined) return (value) => !applies(keyword, value) || keyword.fault(value, rule) === undefined
    return Object.hasOwn(checks, name) ? checks[name]!(rule, { rules, part }) : () => false
  }
  const made = (schema: unknown): Check => {
    const known = ready.get(schema)
    if (known !== undefined) return known
    const rules = schema as Rules
    const [first, second, ...others] = Object.entries(rules).map(([name, rule]) => ofRule(name, rule, rules))
    // Most have one rule or two, and texts by the hundred come to them.
    const check: Check = (value) =>
      (first === undefined || first(value)) &&
      (second === undefined || second(value)) &&
      others.every((rule) => rule(value))
    ready.set(schema, check)
    return check
  }
  const part = (schema: unknown): Check => {
    let check: Check | undefined
    return (value) => (check ??= made(schema))(value)
  }
  return part(schema)
}

interface Around {
  readonly rules: Rules
  /** What checks the values of a part. */
  readonly part: (schema: unknown) => Check
}

/** By keyword (JSON Schema draft-07, "validation"): each lets pass what it isn't about. */
const checks: Readonly<Record<string, (rule: unknown, around: Around) => Check>> = {
  says: () => () => true,
  member: () => () => true,
  type: (rule) => {
    if (typeof rule === 'string') return (value) => isOf(rule, value)
    return (value) => (rule as readonly unknown[]).some((name) => isOf(name, value))
  },
  enum: (rule) => {
    const known = new Set(rule as readonly unknown[])
    return (value) => typeof value !== 'object' && known.has(value)
  },
  const: (rule) => (value) => typeof value !== 'object' && value === rule,
  not: (rule, { part }) => {
    const fits = part(rule)
    return (value) => !fits(value)
  },
  minimum: (rule) => (value) => typeof value !== 'number' || value >= Number(rule),
  maximum: (rule) => (value) => typeof value !== 'number' || value <= Number(rule),
  pattern: (rule) => {
    const pattern = new RegExp(String(rule), 'u')
    return (value) => typeof value !== 'string' || pattern.test(value)
  },
  // Of no more than one: the rest would have to count code points.
  minLength: (rule) => (value) => rule === 1 && (typeof value !== 'string' || value !== ''),
  // A text has no more code points than units; where it has more units, Ajv counts the points.
  maxLength: (rule) => (value) => typeof value !== 'string' || value.length <= Number(rule),
  minItems: (rule) => (value) => !Array.isArray(value) || value.length >= Number(rule),
  maxItems: (rule) => (value) => !Array.isArray(value) || value.length <= Number(rule),
  items: (rule, { part }) => {
    const fits = part(rule)
    return (value) => !Array.isArray(value) || value.every(fits)
  },
  minProperties: (rule) => (value) => !isMembers(value) || Object.keys(value).length >= Number(rule),
  required: (rule) => (value) =>
    !isMembers(value) || (rule as readonly string[]).every((name) => value[name] !== undefined),
  properties: (rule, { part }) => {
    const properties = Object.entries(rule as Members).map(([name, rules]) => ({ name, fits: part(rules) }))
    return (value) =>
      !isMembers(value) || properties.every(({ name, fits }) => value[name] === undefined || fits(value[name]))
  },
  propertyNames: (rule, { part }) => {
    const fits = part(rule)
    return (value) => !isMembers(value) || namesOf(value).every(fits)
  },
  additionalProperties: (rule, { rules, part }) => {
    const known = new Set(Object.keys(rules['properties'] ?? {}))
    const fits = typeof rule === 'boolean' ? () => rule : part(rule)
    return (value) => !isMembers(value) || namesOf(value).every((name) => known.has(name) || fits(value[name]))
  },
  if: (rule, { rules, part }) => {
    const applies = part(rule)
    const then = part(rules['then'] ?? {})
    return (value) => !applies(value) || then(value)
  },
  then: () => () => true,
}

function isOf(type: unknown, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isMembers(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    case 'number':
      return Number.isFinite(value)
    case 'null':
      return value === null
    default:
      return typeof value === type
  }
}

function applies({ type }: FaultKeyword, value: unknown): boolean {
  return type === undefined || [type].flat().some((name) => isOf(name, value))
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Inherited ones too, as Ajv has it. */
function namesOf(value: Members): string[] {
  const names: string[] = []
  for (const name in value) names.push(name)
  return names
}
