/**
 * Does a value fit a JSON schema? Found by walking the schema, for a program that checks one value in its life: loading Ajv
 * and compiling a schema take it longer than all the rest. Where the answer is no, {@link faultFinder} tells why; so it
 * is no, too, for a keyword that isn't known here. Pure.
 */
import type { FaultKeyword } from './faults.js'

type Rules = Readonly<Record<string, unknown>>
type Members = Readonly<Record<string, unknown>>

export function fits(schema: object, value: unknown, keywords: readonly FaultKeyword[] = []): boolean {
  const own = new Map(keywords.map((keyword) => [keyword.keyword, keyword]))
  const walk = (rules: Rules, value: unknown): boolean =>
    Object.entries(rules).every(([name, rule]) => {
      const keyword = own.get(name)
      if (keyword !== undefined) return !applies(keyword, value) || keyword.fault(value, rule) === undefined
      return Object.hasOwn(checks, name) && checks[name]!(rule, value, { rules, walk })
    })
  return walk(schema as Rules, value)
}

interface Around {
  readonly rules: Rules
  readonly walk: (rules: Rules, value: unknown) => boolean
}

/** By keyword (JSON Schema draft-07, "validation"): each lets pass what it isn't about. */
const checks: Readonly<Record<string, (rule: unknown, value: unknown, around: Around) => boolean>> = {
  says: () => true,
  member: () => true,
  type: (rule, value) => [rule].flat().some((name) => isOf(name, value)),
  enum: (rule, value) => typeof value !== 'object' && (rule as readonly unknown[]).includes(value),
  minimum: (rule, value) => typeof value !== 'number' || value >= Number(rule),
  maximum: (rule, value) => typeof value !== 'number' || value <= Number(rule),
  pattern: (rule, value) => typeof value !== 'string' || new RegExp(String(rule), 'u').test(value),
  // Of no more than one: the rest would have to count code points.
  minLength: (rule, value) => rule === 1 && (typeof value !== 'string' || value !== ''),
  minItems: (rule, value) => !Array.isArray(value) || value.length >= Number(rule),
  items: (rule, value, { walk }) => !Array.isArray(value) || value.every((item) => walk(rule as Rules, item)),
  minProperties: (rule, value) => !isMembers(value) || Object.keys(value).length >= Number(rule),
  required: (rule, value) =>
    !isMembers(value) || (rule as readonly string[]).every((name) => value[name] !== undefined),
  properties: (rule, value, { walk }) =>
    !isMembers(value) ||
    Object.entries(rule as Readonly<Record<string, Rules>>).every(
      ([name, rules]) => value[name] === undefined || walk(rules, value[name]),
    ),
  propertyNames: (rule, value, { walk }) =>
    !isMembers(value) || Object.keys(value).every((name) => walk(rule as Rules, name)),
  additionalProperties: (rule, value, { rules, walk }) => {
    if (!isMembers(value)) return true
    const others = Object.keys(value).filter((name) => !Object.hasOwn(rules['properties'] ?? {}, name))
    return typeof rule === 'boolean'
      ? rule || others.length === 0
      : others.every((name) => walk(rule as Rules, value[name]))
  },
  if: (rule, value, { rules, walk }) => !walk(rule as Rules, value) || walk((rules['then'] ?? {}) as Rules, value),
  then: () => true,
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
