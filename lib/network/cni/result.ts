/** What plugins print: results and errors (CNI specification, section 5). Pure. */
import { faultFinder, formatFaults } from '../../schema/faults.js'

/** The result of an ADD, in the version of its network; members that Podling has no use for are kept as they came. */
export interface CniResult {
  readonly cniVersion?: string
  readonly interfaces?: readonly {
    readonly name: string
    readonly mac?: string
    /** Set for links inside the container. */
    readonly sandbox?: string
  }[]
  readonly ips?: readonly {
    /** With its prefix length. */
    readonly address: string
    readonly gateway?: string
    /** Index in `interfaces`. */
    readonly interface?: number
  }[]
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[]
  readonly dns?: {
    readonly nameservers?: readonly string[]
    readonly domain?: string
    readonly search?: readonly string[]
    readonly options?: readonly string[]
  }
}

const text = { type: 'string' }
const texts = { type: ['array', 'null'], items: text }
// Plugins written in Go print null for a list that is empty.
const findFaults = faultFinder({
  type: 'object',
  properties: {
    cniVersion: text,
    interfaces: {
      type: ['array', 'null'],
      items: { type: 'object', required: ['name'], properties: { name: text, mac: text, sandbox: text } },
    },
    ips: {
      type: ['array', 'null'],
      items: {
        type: 'object',
        required: ['address'],
        properties: { address: text, gateway: text, interface: { type: ['integer', 'null'], minimum: 0 } },
      },
    },
    routes: {
      type: ['array', 'null'],
      items: { type: 'object', required: ['dst'], properties: { dst: text, gw: text } },
    },
    dns: {
      type: ['object', 'null'],
      properties: { nameservers: texts, domain: text, search: texts, options: texts },
    },
  },
})

/** @returns a sentence about what is wrong instead, when this is no result */
export function parseResult(output: string): CniResult | string {
  const value = parseJson(output)
  if (value === undefined) return `it printed no JSON but ${excerpt(output)}`
  const faults = findFaults(value)
  return faults.length === 0 ? (value as CniResult) : formatFaults('its result is wrong', faults)
}

export interface CniErrorResult {
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** @returns undefined when this is no error of the form that the specification has for it */
export function parseErrorResult(output: string): CniErrorResult | undefined {
  const value = parseJson(output)
  if (typeof value !== 'object' || value === null) return undefined
  const { code, msg, details } = value as Record<string, unknown>
  if (typeof code !== 'number' || typeof msg !== 'string') return undefined
  return { code, msg, ...(typeof details === 'string' && details !== '' ? { details } : {}) }
}

function parseJson(output: string): unknown {
  try {
    return JSON.parse(output)
  } catch {
    return undefined
  }
}

/** The beginning of an output as a message shows it. */
export function excerpt(output: string): string {
  const line = output.trim()
  return line === '' ? 'nothing' : JSON.stringify(line.length > 200 ? `${line.slice(0, 200)}…` : line)
}
