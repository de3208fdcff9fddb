/** What `networks.create` takes for a network of CNI plugins, checked: all mistakes at once. */
import { readFile } from 'node:fs/promises'
import { PodlingError } from '../../errors.js'
import { faultFinder, formatFaults, show, type Fault } from '../../schema/faults.js'
import { durationWords, parseDuration, type Duration } from '../../schema/quantities.js'
import { networkNameFault, networkNameSchema } from '../network-name.js'
import { parseCniConfig, type CniConfigList, type CniNetwork } from './config.js'

/**
 * A network whose containers are attached by CNI plugins (CNI specification 0.3.1 to 1.1.0), as Debian's
 * containernetworking-plugins has them.
 */
export interface CniNetworkOptions {
  /** The configuration, as an object or JSON, or the path of its file: a `.conflist`, or a `.conf` of a single plugin. */
  readonly cni: CniConfigList | string
  /** Letters, digits, `_`, `.` and `-`. @default the configuration's own */
  readonly name?: string
  /**
   * Containers find each other by name, where the host has the address of the gateway and no plugin says otherwise.
   * @default true
   */
  readonly dns?: boolean
  /** For finding it again; no effect on the network. */
  readonly labels?: Readonly<Record<string, string>>
  /** Where the plugins are. @default '/opt/cni/bin', '/usr/local/libexec/cni', '/usr/libexec/cni', '/usr/lib/cni' */
  readonly pluginDirectories?: readonly string[]
  /** For one run of one plugin, then it is killed: milliseconds, or `'10s'`. @default '60s' */
  readonly pluginTimeout?: Duration
}

/** {@link CniNetworkOptions} in one form. */
export interface NormalizedCniOptions {
  readonly name: string
  readonly dns: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly cni: CniNetwork
}

const findFaults = faultFinder({
  type: 'object',
  required: ['cni'],
  additionalProperties: false,
  properties: {
    cni: { type: ['object', 'string'], minLength: 1 },
    name: networkNameSchema,
    dns: { type: 'boolean' },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    pluginDirectories: {
      type: 'array',
      minItems: 1,
      items: { type: 'string', pattern: '^/', says: 'an absolute path' },
    },
    pluginTimeout: { type: ['number', 'string'] },
  },
})

/** What a timer of Node's can wait. */
const longestTimeout = 2 ** 31 - 1

/** @throws PodlingError `INVALID_OPTION` with all mistakes, each with its path */
export async function parseCniOptions(options: CniNetworkOptions): Promise<NormalizedCniOptions> {
  const faults = findFaults(options)
  const timeout = timeoutOf(options, faults)
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults('create network', faults))
  const config = typeof options.cni === 'string' ? await readConfig(options.cni) : options.cni
  const name = options.name ?? config.name
  if (typeof name !== 'string' || name === '') {
    throw new PodlingError('INVALID_OPTION', 'create network: name: must be given, here or in the CNI configuration')
  }
  const cni = parseCniConfig(config, name)
  const fault = networkNameFault(name)
  if (fault !== undefined) throw new PodlingError('INVALID_OPTION', `create network: name: ${fault}`)
  const { pluginDirectories } = options
  const host = {
    ...(pluginDirectories === undefined ? {} : { pluginDirectories }),
    ...(timeout === undefined ? {} : { timeout }),
  }
  return {
    name,
    dns: options.dns ?? true,
    labels: options.labels ?? {},
    cni: Object.keys(host).length === 0 ? cni : { ...cni, host },
  }
}

/** Whole milliseconds. */
function timeoutOf({ pluginTimeout }: CniNetworkOptions, faults: Fault[]): number | undefined {
  if (pluginTimeout === undefined || faults.some(({ path }) => path === 'pluginTimeout')) return undefined
  const timeout = Math.round(parseDuration(pluginTimeout) ?? 0)
  if (timeout >= 1 && timeout <= longestTimeout) return timeout
  faults.push({
    path: 'pluginTimeout',
    message: `must be ${durationWords}, and from 1 ms to ${String(longestTimeout)} ms, got ${show(pluginTimeout)}`,
  })
  return undefined
}

async function readConfig(given: string): Promise<CniConfigList> {
  const isText = given.trimStart().startsWith('{')
  const what = `create network: cni${isText ? '' : `: ${given}`}`
  let config: unknown
  try {
    config = JSON.parse(isText ? given : await readFile(given, 'utf8'))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why = cause instanceof SyntaxError ? `must be JSON: ${cause.message}` : `can't be read: ${String(code)}`
    throw new PodlingError('INVALID_OPTION', `${what}: ${why}`, { cause, ...(isText ? {} : { path: given }) })
  }
  if (typeof config === 'object' && config !== null) return config as CniConfigList
  throw new PodlingError('INVALID_OPTION', `${what}: must be an object, got ${show(config)}`)
}
