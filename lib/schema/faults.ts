/**
 * Faults of data that came from outside (options, config.json, seccomp profiles), found by a JSON schema and told in
 * sentences: `mounts[1].target: must be an absolute path, got 'data'`. All faults at once, each with its path.
 */
import type * as AjvModule from 'ajv'
import type { Ajv, ErrorObject, KeywordDefinition, ValidateFunction } from 'ajv'
import { late } from '../late.js'
import type { FaultKeyword } from './fault-keyword.js'
import { fitter } from './fits.js'
import { nearestName } from './nearest-name.js'
import { shareSchema, splitSchema } from './share-schema.js'

export type { FaultKeyword }

/** One thing that is wrong, and where. */
export interface Fault {
  /** Such as `mounts[1].target`; empty for the whole. */
  readonly path: string
  /** What must be, and what was there instead. */
  readonly message: string
}

/** Words for messages, in a schema beside what they explain. */
const vocabulary = [
  /** What a value that fails `pattern` must be: `a number of bytes`. */
  'says',
  /** What the members of an object are called, for unknown ones: `option`. */
  'member',
]

/** A function that returns all faults of a value; none when it fits `schema`. For a value that fits no Ajv is loaded. */
export function faultFinder(schema: object, keywords: readonly FaultKeyword[] = none): (value: unknown) => Fault[] {
  const fits = fitter(schema, keywords)
  const explain = explainer(schema, keywords)
  return (value) => (fits(value) ? [] : explain(value))
}

/**
 * The same by Ajv, whatever the value. Nothing is compiled before it is needed: of an object with many properties, only the
 * schemas of those that don't fit, as compiling takes a millisecond each.
 */
export function explainer(schema: object, keywords: readonly FaultKeyword[] = none): (value: unknown) => Fault[] {
  const { shell, parts } = splitSchema(schema)
  const finders = new Map<string, (value: unknown) => Fault[]>()
  let validate: ValidateFunction | undefined
  return (value) => {
    validate ??= ajvFor(keywords).compile(shareSchema(shell))
    const faults = validate(value) ? [] : (validate.errors ?? []).flatMap((error) => faultOf(error) ?? [])
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [name, part] of parts) {
        const member = (value as Readonly<Record<string, unknown>>)[name]
        if (member === undefined) continue
        const find = finders.get(name) ?? faultFinder(part, keywords)
        finders.set(name, find)
        faults.push(...find(member).map((fault) => under(name, fault)))
      }
    }
    return [...new Map(faults.map((fault) => [formatFault(fault), fault])).values()]
  }
}

/** A fault of a part, seen from the whole. */
export function under(name: string, { path, message }: Fault): Fault {
  if (path === '') return { path: name, message }
  return { path: path.startsWith('[') ? `${name}${path}` : `${name}.${path}`, message }
}

/** `path: message`, or the message alone for the whole. */
export function formatFault({ path, message }: Fault): string {
  return path === '' ? message : `${path}: ${message}`
}

/** One sentence for one fault, a list for more. */
export function formatFaults(what: string, faults: readonly Fault[]): string {
  if (faults.length === 1) return `${what}: ${formatFault(faults[0]!)}`
  return `${what}: ${String(faults.length)} mistakes\n${faults.map((fault) => `  ${formatFault(fault)}`).join('\n')}`
}

/** A value as a message shows it: short, strings in single quotes. */
export function show(value: unknown): string {
  if (value === undefined) return 'undefined'
  if (typeof value === 'string') return quote(value.length > 80 ? `${value.slice(0, 77)}...` : value)
  if (typeof value === 'bigint') return `${String(value)}n`
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  if (typeof value === 'number') return String(value)
  const json = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? String(part) : part))
  return json.length > 80 ? `${json.slice(0, 77)}...` : json
}

function quote(text: string): string {
  const json = JSON.stringify(text)
  return `'${json.slice(1, -1).replaceAll("'", "\\'").replaceAll('\\"', '"')}'`
}

/** `['mounts', '1', 'target']` to `mounts[1].target`; names that are no identifiers in brackets. */
export function joinPath(parts: readonly string[]): string {
  return parts.reduce((path, part) => {
    if (/^\d+$/.test(part)) return `${path}[${part}]`
    if (!/^[\w$-]+$/.test(part)) return `${path}[${JSON.stringify(part)}]`
    return path === '' ? part : `${path}.${part}`
  }, '')
}

const ajvModule = late('ajv') as () => typeof AjvModule
const none: readonly FaultKeyword[] = []
const ajvs = new WeakMap<readonly FaultKeyword[], Ajv>()

function ajvFor(keywords: readonly FaultKeyword[]): Ajv {
  const known = ajvs.get(keywords)
  if (known !== undefined) return known
  // Most programs that know how to tell a fault never have to.
  const { Ajv: OwnAjv } = ajvModule()
  const ajv = new OwnAjv({
    allErrors: true,
    verbose: true,
    strictRequired: false,
    strictTypes: false,
    // Checking the schemas against the schema of schemas, and polishing the code made of them, take longer than they
    // are worth: they are ours, and tested.
    validateSchema: false,
    meta: false,
    inlineRefs: false,
    code: { optimize: false },
    loopEnum: 1,
  })
  ajv.addVocabulary(vocabulary)
  for (const keyword of keywords) ajv.addKeyword(definitionOf(keyword))
  ajvs.set(keywords, ajv)
  return ajv
}

function definitionOf({ keyword, type, fault }: FaultKeyword): KeywordDefinition {
  const validate = (value: unknown, data: unknown): boolean => {
    const message = fault(data, value)
    check.errors = message === undefined ? [] : [{ keyword, message, params: {} }]
    return message === undefined
  }
  const check: typeof validate & { errors?: Partial<ErrorObject>[] } = validate
  return {
    keyword,
    validate: check,
    errors: true,
    ...(type === undefined ? {} : { type: typeof type === 'string' ? type : [...type] }),
  }
}

/** What messages take from the schema that wasn't fulfilled. */
interface SchemaWords {
  readonly says?: string
  readonly member?: string
  readonly properties?: object
  readonly minimum?: number
  readonly maximum?: number
}

function faultOf(error: ErrorObject): Fault | undefined {
  const parts = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  const schema = (error.parentSchema ?? {}) as SchemaWords
  const params = error.params as Record<string, unknown>
  const got = `got ${show(error.data)}`
  const at = (message: string, ...more: string[]): Fault => ({ path: joinPath([...parts, ...more]), message })
  switch (error.keyword) {
    case 'type':
      return at(`must be ${typeWords(params['type'])}, ${got}`)
    case 'required':
      return at('is required', String(params['missingProperty']))
    case 'enum':
    case 'const':
      return at(`must be ${enumWords(error)}; ${got}${suggestion(error)}`)
    case 'minimum':
    case 'maximum':
      return at(`must be ${rangeWords(schema)}, ${got}`)
    case 'exclusiveMinimum':
      return at(`must be more than ${String(params['limit'])}, ${got}`)
    case 'minLength':
    case 'minItems':
    case 'minProperties':
      return at('must not be empty')
    case 'maxLength':
    case 'maxItems':
      return at(`must be at most ${String(params['limit'])} long, ${got}`)
    case 'uniqueItems':
      return at('must not hold the same twice')
    case 'pattern':
      return at(`must be ${schema.says ?? `of the form ${String(params['pattern'])}`}, ${got}`)
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return unknownMember(at, schema, String(params['additionalProperty'] ?? params['unevaluatedProperty']))
    case 'propertyNames':
    case 'if':
      return undefined
    default:
      return at(error.message ?? 'is wrong')
  }
}

function unknownMember(at: (message: string, ...more: string[]) => Fault, schema: SchemaWords, name: string): Fault {
  const near = nearestName(name, Object.keys(schema.properties ?? {}))
  const hint = near === undefined ? '' : `; did you mean ${near}?`
  return at(`unknown ${schema.member ?? 'property'}${hint}`, name)
}

const articles: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  null: 'null',
}

function typeWords(type: unknown): string {
  const types = (Array.isArray(type) ? type : String(type).split(',')) as string[]
  return types.map((name) => articles[name] ?? name).join(' or ')
}

function enumWords(error: ErrorObject): string {
  const allowed = (error.params as { allowedValues?: unknown[]; allowedValue?: unknown }).allowedValues
  if (allowed === undefined) return show((error.params as { allowedValue?: unknown }).allowedValue)
  if (allowed.length > 12) return 'one of the known names'
  return allowed.length === 1 ? show(allowed[0]) : `one of ${allowed.map(show).join(', ')}`
}

function suggestion(error: ErrorObject): string {
  const allowed = ((error.params as { allowedValues?: unknown[] }).allowedValues ?? []).filter(
    (v) => typeof v === 'string',
  )
  if (typeof error.data !== 'string') return ''
  const near = nearestName(error.data, allowed)
  return near === undefined ? '' : `; did you mean ${show(near)}?`
}

function rangeWords({ minimum, maximum }: SchemaWords): string {
  // Beyond what a number holds exactly, the limit is that of 64 bits; it says nothing to the reader.
  if (minimum !== undefined && maximum !== undefined && maximum <= Number.MAX_SAFE_INTEGER)
    return `${String(minimum)}..${String(maximum)}`
  return minimum === undefined ? `at most ${String(maximum)}` : `at least ${String(minimum)}`
}
