/** CNI network configurations: checked, and made into what one plugin gets on its stdin. Pure. */
import { PodlingError } from '../../errors.js'
import { faultFinder, formatFaults, show, type Fault } from '../../schema/faults.js'
import type { CniHost } from './run-plugin.js'

/** Versions of the CNI specification, oldest first. */
export const cniVersions = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof cniVersions)[number]

/** One plugin of a list; what the plugin alone understands stands beside these. */
export interface CniPluginConfig {
  /** The name of its program. */
  readonly type: string
  /** What it wants to be told about each container, such as `{ portMappings: true }`. */
  readonly capabilities?: Readonly<Record<string, boolean>>
  readonly [key: string]: unknown
}

/** A network configuration list (CNI specification, section 1), or the older form with a single plugin. */
export interface CniConfigList {
  /** Must be given, unless `cniVersions` is. */
  readonly cniVersion?: string
  /** Versions to choose from (1.1.0); the newest that Podling knows is used. */
  readonly cniVersions?: readonly string[]
  /** @default the name of the network */
  readonly name?: string
  /** Never run CHECK. @default false */
  readonly disableCheck?: boolean
  /** Never run GC. @default false */
  readonly disableGC?: boolean
  /** Run in this order. Absent when `type` makes the whole a single plugin. */
  readonly plugins?: readonly CniPluginConfig[]
  readonly type?: string
  readonly [key: string]: unknown
}

/** A {@link CniConfigList} in one form. */
export interface CniNetwork {
  readonly cniVersion: CniVersion
  readonly name: string
  readonly disableCheck: boolean
  readonly disableGC: boolean
  readonly plugins: readonly CniPluginConfig[]
  /** Where this network's plugins are and how long they may take, where that is not as usual. */
  readonly host?: CniHost
}

const plugin = {
  type: 'object',
  required: ['type'],
  properties: {
    // It becomes a part of a path.
    type: { type: 'string', pattern: '^(?!\\.\\.?$)[^/\\0]+$', says: "the name of a plugin's program, without a path" },
    capabilities: { type: 'object', additionalProperties: { type: 'boolean' } },
    ipam: {
      type: 'object',
      properties: {
        type: {
          type: 'string',
          pattern: '^(?!\\.\\.?$)[^/\\0]*$',
          says: "the name of a plugin's program, without a path",
        },
      },
    },
  },
} as const

const common = {
  name: {
    type: 'string',
    pattern: '^[a-zA-Z0-9][a-zA-Z0-9_.-]*$',
    says: 'letters, digits, _, . and -, beginning with a letter or digit',
  },
  cniVersion: { type: 'string' },
  cniVersions: { type: 'array', items: { type: 'string' } },
  disableCheck: { type: 'boolean' },
  disableGC: { type: 'boolean' },
}

const findListFaults = faultFinder({
  type: 'object',
  required: ['plugins'],
  properties: { ...common, plugins: { type: 'array', minItems: 1, items: plugin } },
})

const findPluginFaults = faultFinder({
  type: 'object',
  required: plugin.required,
  properties: { ...common, ...plugin.properties },
})

/**
 * @param network the name that counts; a configuration with another one is refused
 * @throws PodlingError `INVALID_OPTION` with all mistakes, each with its path
 */
export function parseCniConfig(given: CniConfigList, network: string): CniNetwork {
  const single = typeof given === 'object' && (given as unknown) !== null && 'type' in given && !('plugins' in given)
  const faults = single ? findPluginFaults(given) : findListFaults(given)
  const version = faults.length === 0 ? chooseVersion(given, faults) : undefined
  if (faults.length === 0 && given.name !== undefined && given.name !== network) {
    faults.push({ path: 'name', message: `must be that of the network, ${show(network)}, got ${show(given.name)}` })
  }
  if (faults.length > 0 || version === undefined) {
    throw new PodlingError('INVALID_OPTION', formatFaults(`CNI configuration of network ${network}`, faults))
  }
  return {
    cniVersion: version,
    name: network,
    disableCheck: given.disableCheck ?? false,
    disableGC: given.disableGC ?? false,
    plugins: single ? [given as CniPluginConfig] : (given.plugins ?? []),
  }
}

function chooseVersion({ cniVersion, cniVersions: choice }: CniConfigList, faults: Fault[]): CniVersion | undefined {
  const offered = [...(choice ?? []), ...(cniVersion === undefined ? [] : [cniVersion])]
  const version = cniVersions.findLast((known) => offered.includes(known))
  if (version !== undefined) return version
  const known = cniVersions.map(show).join(', ')
  const path = choice === undefined ? 'cniVersion' : 'cniVersions'
  const got = offered.length === 0 ? 'none' : offered.map(show).join(', ')
  faults.push({ path, message: `must be one of ${known}, got ${got}` })
  return undefined
}

/** Is a feature of the specification that came with `since` part of this version? */
export function atLeast(version: CniVersion, since: CniVersion): boolean {
  return cniVersions.indexOf(version) >= cniVersions.indexOf(since)
}

/** What is known of one container and may be of use to plugins, by the names of CNI's conventions for capabilities. */
export interface CniCapabilityArgs {
  readonly portMappings?: readonly {
    readonly hostPort: number
    readonly containerPort: number
    readonly protocol: 'tcp' | 'udp' | 'sctp'
    /** @default all addresses */
    readonly hostIP?: string
  }[]
  /** Fixed addresses, with or without a prefix length. */
  readonly ips?: readonly string[]
  readonly mac?: string
  /** Names by which others find the container. */
  readonly aliases?: readonly string[]
}

/** What a plugin reads (section 3, "Deriving execution configuration from plugin configuration"). */
export function executionConfig(
  network: CniNetwork,
  { capabilities = {}, ...rest }: CniPluginConfig,
  given: CniCapabilityArgs,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const runtimeConfig = Object.fromEntries(
    Object.entries(given).filter(
      ([name, value]) => capabilities[name] === true && value !== undefined && !isEmpty(value),
    ),
  )
  const { runtimeConfig: own, ...config } = rest
  return {
    ...config,
    cniVersion: network.cniVersion,
    name: network.name,
    ...(Object.keys(runtimeConfig).length > 0 ? { runtimeConfig: { ...(own ?? {}), ...runtimeConfig } } : {}),
    ...more,
  }
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** Capabilities that a container needs and no plugin of the network has: what it asks for would be silently left out. */
export function missingCapabilities({ plugins }: CniNetwork, given: CniCapabilityArgs): string[] {
  return Object.entries(given).flatMap(([name, value]) =>
    value === undefined || isEmpty(value) || plugins.some(({ capabilities }) => capabilities?.[name] === true)
      ? []
      : [name],
  )
}
